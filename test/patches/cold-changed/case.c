/*
 * Only the .cold part changes: the function that it belongs to is replaced.
 *
 * old: -5
 * new: -6
 * changes: check
 */
#include "../case.h"

static noinline __attribute__((cold)) long complain(long x)
{
	return x;
}

noinline long check(long x)
{
	if (__builtin_expect(x < 0, 0)) {
		long r = complain(x) * 2;

		r += complain(r) + OLD_NEW(10, 9);
		return r;
	}
	return x;
}

long probe(void)
{
	return check(HIDE(-3)) + 3 - 6;
}
