#include <stdio.h>
#include <stdlib.h>
#define NI __attribute__((noinline))
void lp_apply(void);
int order;
#ifdef NEW
__attribute__((constructor(300))) static void one(void) { order = order * 10 + 1; }
__attribute__((constructor(200))) static void two(void) { order = order * 10 + 2; }
#else
__attribute__((constructor(200))) static void one(void) { order = order * 10 + 1; }
__attribute__((constructor(300))) static void two(void) { order = order * 10 + 2; }
#endif
NI int get(int x) { __asm__ volatile(""); return order + x; }
int main(void) { lp_apply(); printf("%d\n", get(1)); return 0; }
