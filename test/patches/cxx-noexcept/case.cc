/*
 * A function becomes noexcept and its callers no longer expect an exception.
 *
 * old: 5
 * new: 6
 */
#include "../case.h"

struct Cleanup {
	long *where;
	~Cleanup() { ++*where; }
};

noinline long leaf(long x) OLD_NEW(, noexcept)
{
	return HIDE(x) + 3;
}

noinline long user(long x)
{
	long n = OLD_NEW(0, 1), r;

	{
		Cleanup c = { &n };

		r = leaf(x);
	}
	return r + n;
}

long probe(void)
{
	return user(HIDE(1));
}
