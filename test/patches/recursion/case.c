/*
 * A function that calls itself: the call inside goes through the entry that everybody uses.
 *
 * old: 5
 * new: 10
 * changes: depth
 */
#include "../case.h"

noinline long depth(long n)
{
	return n ? HIDE(depth(n - 1)) + OLD_NEW(1, 2) : 0;
}

long probe(void)
{
	return depth(HIDE(5));
}
