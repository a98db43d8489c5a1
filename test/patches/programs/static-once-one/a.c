#include <stdio.h>
#include <stdlib.h>
void lp_apply(void);
#define NI __attribute__((noinline))
#define ONCE(text) do { static int told; if (!told) { told = 1; puts(text); } } while (0)
NI void check(int a, int b)
{
#ifdef NEW
	if (b < 0)
		ONCE("b is negative");
#else
	if (a > 10)
		ONCE("a is large");
#endif
}
int main(void)
{
	check(11, 0);
	lp_apply();
	check(11, -1);
	check(11, -1);
	return 0;
}
