#include <stdio.h>
void lp_apply(void);
#define NI __attribute__((noinline))
#ifdef NEW
#define P 'b'
#define Q 'a'
#define PM 100
#define QM 1
#else
#define P 'a'
#define Q 'b'
#define PM 1
#define QM 100
#endif
NI int tell(int c)
{
	switch (c) {
	case P: { static int seen; return ++seen * PM; }
	case Q: { static int seen; return ++seen * QM; }
#ifdef NEW
	case 'c': { static int other; return ++other; }
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
