#ifdef NEW
static inline __attribute__((noinline)) int f(int x) { __asm__ volatile(""); return x + 1000; }
#else
int f(int x);
#endif
int fb(int x);
