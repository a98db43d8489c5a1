#include <stdio.h>
void lp_apply(void);
int twice(int);
__attribute__((noinline)) long limit(void)
{
	long x;
	__asm__("movabs $LIMIT,%0" : "=r"(x));
	return x;
}
int main(void) { lp_apply(); printf("%d %ld\n", twice(1), limit()); return 0; }
