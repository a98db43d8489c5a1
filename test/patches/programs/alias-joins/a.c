int x;
#ifdef NEW
extern int y __attribute__((alias("x")));
#else
int y;
#endif
