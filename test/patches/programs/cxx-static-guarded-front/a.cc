#include <stdio.h>
#include <stdlib.h>
extern "C" void lp_apply(void);
#define NI __attribute__((noinline))
NI long begin(const char *s) { return atol(s); }
NI long own(int kind)
{
#ifdef NEW
	if (kind == 2) { static long x = begin("70"); return ++x; }
#endif
	if (kind == 1) { static long x = begin("5"); return ++x; }
	return 0;
}
int main()
{
	own(1);
	lp_apply();
	long a = own(2), b = own(1);
	printf("%ld %ld\n", a, b);
}
