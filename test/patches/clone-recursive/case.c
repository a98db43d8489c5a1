/*
 * A static function that calls itself, of which compilers make several copies.
 *
 * old: 120
 * new: 121
 */
#include "../case.h"

static long factorial(long n, long extra)
{
	return n < 2 ? 1 + extra : n * factorial(n - 1, 0) + OLD_NEW(0, (n == 5));
}

long probe(void)
{
	return factorial(HIDE(5), 0);
}
