#include <stdio.h>
#include <stdlib.h>
void lp_apply(void);
#define NI __attribute__((noinline))
static inline __attribute__((always_inline)) long tally(int kind, long by)
{
#ifndef NEW
	if (kind == 1) { static long n; n += by; return n; }
	else { static long n; n += by; return n; }
#else
	if (kind != 1) { static long n; n += by; return n; }
	else { static long n; n += by; return n; }
#endif
}
NI long one(int kind) { return tally(kind, 1); }
NI long ten(int kind) { return tally(kind, 10); }
int main(void)
{
	one(1); ten(2);
	lp_apply();
	printf("%ld %ld\n", one(1), ten(2));
	return 0;
}
