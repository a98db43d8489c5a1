#include <stdio.h>
void lp_apply(void);
#define NI __attribute__((noinline))
#ifdef NEW
#define OPEN 9
#else
#define OPEN 7
#endif
NI unsigned state(unsigned a)
{
	static unsigned st;
	if (a > 5)
		st = OPEN;
	if (a > 7)
		st = 0;
	return st;
}
int main(void)
{
	printf("%u\n", state(6));
	lp_apply();
	printf("%u\n", state(1));
	printf("%u\n", state(6));
	return 0;
}
