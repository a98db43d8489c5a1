/*
 * A static function gets its parameters in another order: it and its callers change at once.
 *
 * old: 7
 * new: 17
 */
#include "../case.h"

static noinline long divide(
#ifdef FIX
	long by, long what)
#else
	long what, long by)
#endif
{
	return HIDE(what) / HIDE(by) + OLD_NEW(0, 10);
}

noinline long user(long x)
{
#ifdef FIX
	return divide(3, x);
#else
	return divide(x, 3);
#endif
}

long probe(void)
{
	return user(HIDE(21));
}
