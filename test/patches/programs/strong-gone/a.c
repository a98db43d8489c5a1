#include <stdio.h>
#include <stdlib.h>
void lp_apply(void);
#define NI __attribute__((noinline))
__attribute__((weak, noinline)) int limit(void) { return 10; }
int other(int x);
int main(void) { lp_apply(); printf("%d %d\n", limit(), other(1)); return 0; }
