int f(int x) { __asm__ volatile(""); return x + 1; }
int use(int x);
int other(int x) { return use(x) * 2 + f(x); }
