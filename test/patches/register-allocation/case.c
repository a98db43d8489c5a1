/*
 * gcc lets callers count on registers that a function of the file leaves alone (-fipa-ra). The new body uses them, so the
 * callers are in the patch, too.
 *
 * old: 33
 * new: 89
 */
#include "../case.h"

static noinline long leaf(long x)
{
#ifdef FIX
	long a = HIDE(x), b = HIDE(x + 1), c = HIDE(x + 2), d = HIDE(x + 3), e = HIDE(x + 4), f = HIDE(x + 5);

	return a * b + c * d + e * f - a - b - c - d - e - f + 35;
#else
	return x + 1;
#endif
}

noinline long user(long x, long y, long z)
{
	long r = leaf(x);

	return r + y * 10 + z;
}

long probe(void)
{
	return user(HIDE(1), HIDE(2), HIDE(11)) + OLD_NEW(0, 0);
}
