#include <stdio.h>
#include <stdlib.h>
void lp_apply(void);
#define NI __attribute__((noinline))
#ifdef NEW
static NI int f(int x) { __asm__ volatile(""); return x + 1000; }
#else
int f(int x);
#endif
int other(int x);
int main(void) { lp_apply(); for (int i = 0; i < 2; i++) printf("%d\n", other(i)); return 0; }
int use(int x) { return f(x); }
