#ifdef NEW
int f(int x);
#else
static inline __attribute__((noinline)) int f(int x) { __asm__ volatile(""); return x + 1; }
#endif
int fb(int x);
