#include <stdio.h>
void lp_apply(void);
/* Two static variables of one name in blocks of one function. The fix checks the second case first. */
__attribute__((noinline)) long count(int kind, long by)
{
#ifndef NEW
	if (kind == 1) { static __thread long n; n += by; return n; }
	if (kind == 2) { static __thread long n; n += by; return n; }
#else
	if (kind == 2) { static __thread long n; n += by; return n; }
	if (kind == 1) { static __thread long n; n += by; return n; }
	if (kind == 3) return -1;
#endif
	return 0;
}
int main(void)
{
	count(1, 10); count(2, 1000);
	lp_apply();
	printf("%ld %ld %ld\n", count(1, 1), count(2, 1), count(3, 0));
	return 0;
}
