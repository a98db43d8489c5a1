/*
 * A fix of two files, one of which gets a new function that the other one calls.
 *
 * old: 12
 * new: 42
 * changes: top
 */
#include "../case.h"

long below(long);
long added(long);

noinline long top(long x)
{
#ifdef FIX
	return added(x) + 2;
#else
	return below(x) + 2;
#endif
}

long probe(void)
{
	return top(HIDE(1));
}
