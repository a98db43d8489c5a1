/*
 * The fix makes a global function static: it is the same function.
 *
 * old: 6
 * new: 7
 */
#include "../case.h"

#ifdef FIX
static
#endif
noinline long helper(long x)
{
	return x * 2 + OLD_NEW(0, 1);
}

noinline long user(long x)
{
	return helper(x);
}

long probe(void)
{
	return user(HIDE(3));
}
