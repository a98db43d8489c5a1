#include <stdio.h>
#include <stdlib.h>
void lp_apply(void);
#define NI __attribute__((noinline))
#ifdef NEW
NI long beta(long by) { static long n; n += by + 2; return n; }
NI long alpha(long by) { static long n; n += by + 1; return n; }
#else
NI long alpha(long by) { static long n; n += by; return n; }
NI long beta(long by) { static long n; n += by; return n; }
#endif
int main(void)
{
	alpha(10); beta(1000);
	lp_apply();
	printf("%ld %ld\n", alpha(0), beta(0));
	return 0;
}
