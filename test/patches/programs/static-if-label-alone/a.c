#include <stdio.h>
void lp_apply(void);
#define NI __attribute__((noinline))
NI int tell(int c)
{
	switch (c) {
#ifdef NEW
	case 'b':
#else
	case 'a':
#endif
	{
		static int seen;
		return ++seen;
	}
#ifdef NEW
	case 'a':
#else
	case 'b':
#endif
	{
		static int seen;
		return ++seen;
	}
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
