#include <stdio.h>
void lp_apply(void);
#ifdef NEW
#define K 7
#else
#define K 6
#endif
int twice(int);
extern char LIMIT[];
__attribute__((noinline)) long direct(void)
{
	long x;
	__asm__("movabs $LIMIT,%0" : "=r"(x));
	return x * K;
}
__attribute__((noinline)) long limit(void) { return (long)LIMIT * K; }
long (*volatile calls[])(void) = { direct, limit }; /* nothing is known of them */
int main(void)
{
	lp_apply();
	printf("%ld %ld %d\n", calls[0](), calls[1](), twice(1));
	return 0;
}
