/*
 * A default argument is part of the callers.
 *
 * old: 11
 * new: 21
 */
#include "../case.h"

noinline long add(long x, long y = OLD_NEW(10, 20))
{
	return HIDE(x) + HIDE(y);
}

noinline long user(long x)
{
	return add(x);
}

long probe(void)
{
	return user(HIDE(1));
}
