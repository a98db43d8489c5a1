/*
 * Optimised for size: nothing is aligned.
 *
 * old: 7
 * new: 8
 * changes: add
 * flags: -Os
 */
#include "../case.h"

noinline long add(long x, long y)
{
	return x * 3 + y / 2 + OLD_NEW(2, 3);
}

long probe(void)
{
	return add(HIDE(1), HIDE(4));
}
