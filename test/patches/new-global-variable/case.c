/*
 * New global variables live in the patch; code of two functions shares them.
 *
 * old: 0
 * new: 55
 * between: 5
 * changes: get put
 */
#include "../case.h"

#ifdef FIX
long added_global;
#endif

noinline void put(long x)
{
#ifdef FIX
	added_global = x;
#else
	(void)HIDE(x);
#endif
}

noinline long get(void)
{
#ifdef FIX
	return *(volatile long *)&added_global + 50;
#else
	return HIDE(0L);
#endif
}

long probe(void)
{
	long got;

	put(HIDE(5));
	got = get();
	return got == 50 ? 5 : got;
}
