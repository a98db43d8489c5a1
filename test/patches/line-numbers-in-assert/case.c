/*
 * assert() has the line number as an argument; lines came in front of it, so its function is part of the patch.
 *
 * old: 1
 * new: 2
 * changes: half probe
 */
#undef NDEBUG
#include <assert.h>
#include "../case.h"

#ifdef FIX
#line 1000
#else
#line 100
#endif
noinline long half(long x)
{
	assert(x % 2 == 0);
	return x / 2;
}

long probe(void)
{
	return half(HIDE(2)) + OLD_NEW(0, 1);
}
