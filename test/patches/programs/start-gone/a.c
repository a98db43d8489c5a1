#include <stdio.h>
#include <stdlib.h>
#define NI __attribute__((noinline))
void lp_apply(void);
int order = 1;
#ifndef NEW
__attribute__((constructor)) static void one(void) { order = 5; }
NI int get(int x) { __asm__ volatile(""); return order + x; }
#else
NI int get(int x) { __asm__ volatile(""); return order + x * 2; }
#endif
int main(void) { lp_apply(); printf("%d\n", get(1)); return 0; }
