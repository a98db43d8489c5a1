/*
 * New code throws what old code catches.
 *
 * old: 1
 * new: 8
 */
#include <stdexcept>
#include "../case.h"

noinline long check(long x)
{
	if (x > OLD_NEW(100, 0))
		throw std::out_of_range("too much");
	return HIDE(x);
}

noinline long caller(long x)
{
	try {
		return check(x) + HIDE(0);
	} catch (const std::exception &e) {
		return HIDE(e.what()[7] == 'h' ? 8 : 9);
	}
}

long probe(void)
{
	return caller(HIDE(1));
}
