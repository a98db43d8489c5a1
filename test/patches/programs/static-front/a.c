#include <stdio.h>
#include <stdlib.h>
void lp_apply(void);
#define NI __attribute__((noinline))
NI long count(int kind)
{
#ifdef NEW
	if (kind == 2) {
		static long n;
		n += 100;
		return n;
	}
#endif
	if (kind == 1) {
		static long n;
		n += 1;
		return n;
	}
	return 0;
}
int main(void)
{
	count(1); count(1);
	lp_apply();
	long b = count(2), a = count(1);
	printf("%ld %ld\n", a, b);
	return 0;
}
