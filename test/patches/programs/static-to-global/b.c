#ifdef NEW
extern int hits;
__attribute__((noinline)) int total(void) { return hits; }
#else
__attribute__((noinline)) int total(void) { return -1; }
#endif
