int x, y;
#ifdef NEW
extern int al __attribute__((alias("y")));
#else
extern int al __attribute__((alias("x")));
#endif
