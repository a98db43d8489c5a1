#include <stdio.h>
void lp_apply(void);
#define NI __attribute__((noinline))
NI int tell(int c)
{
	switch (c) {
#ifdef NEW
	case 'b': { static int seen; return ++seen * 100; }
#endif
	case 'a': { static int seen; return ++seen; }
#if !defined(NEW)
	case 'b': { static int seen; return ++seen * 100; }
#endif
#ifdef NEW
	case 'c': return -1;
#endif
	}
	return 0;
}
int main(void)
{
	tell('a'); tell('b'); tell('b');
	lp_apply();
	printf("%d %d %d\n", tell('a'), tell('b'), tell('c'));
	return 0;
}
