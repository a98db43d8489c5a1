#include <stdio.h>
#include <stdlib.h>
void lp_apply(void);
#define NI __attribute__((noinline))
#ifdef NEW
static int count;
#endif
NI int next(int by)
{
#ifndef NEW
	static int count;
#endif
	count += by;
	return count;
}
NI int total(void)
{
#ifdef NEW
	return count;
#else
	return atoi("-1");
#endif
}
int main(void)
{
	next(50);
	lp_apply();
	next(1);
	printf("%d\n", total());
	return 0;
}
