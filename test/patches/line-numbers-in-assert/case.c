/*
 * assert() has the line number as an argument; lines came in front of it.
 *
 * nothing: line numbers in 1 functions
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
	return half(HIDE(2));
}
