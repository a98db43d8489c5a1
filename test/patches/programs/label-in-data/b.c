#include <stdio.h>
void lp_apply(void);
extern int tail[];
int twice(int);
__attribute__((noinline)) int first(void) { return tail[0]; }
int main(void) { lp_apply(); printf("%d %d\n", twice(1), first()); return 0; }
