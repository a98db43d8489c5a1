#include <stdio.h>
#include <stdlib.h>
void lp_apply(void);
#define NI __attribute__((noinline))
int other(int x);
int main(void) { lp_apply(); printf("%d %d\n", other(-1), abs(-3)); return 0; }
