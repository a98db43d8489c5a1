#include <stdio.h>
void lp_apply(void);
#define NI __attribute__((noinline))
NI int tell(int c)
{
#ifdef NEW
	if (c == 'b')
#else
	if (c == 'a')
#endif
	{ static int seen; return ++seen; }
#ifdef NEW
	if (c == 'a')
#else
	if (c == 'b')
#endif
	{ static int seen; return ++seen; }
#ifdef NEW
	if (c == 'c') { static int other; return ++other; }
#endif
	return 0;
}
int main(void)
{
	tell('a'); tell('b'); tell('b');
	lp_apply();
	printf("%d %d %d\n", tell('a'), tell('b'), tell('c'));
	return 0;
}
