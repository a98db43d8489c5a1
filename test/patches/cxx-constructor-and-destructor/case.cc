/*
 * A constructor and a destructor, each of which has two names for one code.
 *
 * old: 11
 * new: 33
 * between: 13 31
 */
#include "../case.h"

static long alive[4];

struct Guard {
	long *where;
	noinline explicit Guard(long *p) : where(p)
	{
		*where += OLD_NEW(1, 3);
	}
	noinline ~Guard()
	{
		*where += OLD_NEW(10, 30);
	}
};

noinline static long scope(long *p)
{
	{
		Guard g(p);

		__asm__ volatile("" : : "r"(&g) : "memory");
	}
	return *p + OLD_NEW(0, 0 * alive[0]);
}

long probe(void)
{
	long n = HIDE(0L);

	return scope(&n);
}
