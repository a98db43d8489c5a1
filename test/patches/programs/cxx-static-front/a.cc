#include <stdio.h>
#include <stdlib.h>
extern "C" void lp_apply(void);
#define NI __attribute__((noinline))
inline NI long shared(int kind)
{
#ifdef NEW
	if (kind == 2) { static long x; return x += 100; }
#endif
	if (kind == 1) { static long x; return x += 1; }
	return 0;
}
NI long own(int kind)
{
#ifdef NEW
	if (kind == 2) { static long x; return x += 1000; }
#endif
	if (kind == 1) { static long x; return x += 1; }
	return 0;
}
int main()
{
	shared(1); own(1); own(1);
	lp_apply();
	long a = shared(2), b = shared(1), c = own(2), d = own(1);
	printf("%ld %ld %ld %ld\n", a, b, c, d);
}
