#include <stdio.h>
#include <stdlib.h>
void lp_apply(void);
#define NI __attribute__((noinline))
#include "h.h"
#ifndef NEW
int f(int x) { __asm__ volatile(""); return x + 1; }
#endif
NI int fa(int x) { __asm__ volatile(""); return f(x); }
int main(void) { lp_apply(); printf("%d %d\n", fa(1), fb(1)); return 0; }
