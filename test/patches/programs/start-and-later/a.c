#include <stdio.h>
#include <stdlib.h>
#define NI __attribute__((noinline))
void lp_apply(void);
int limit;
int compute(int x);
__attribute__((constructor)) static void start(void) { limit = compute(3); }
NI int get(int x) { __asm__ volatile(""); return compute(x); }
int main(void) { lp_apply(); printf("%d\n", get(1)); return 0; }
