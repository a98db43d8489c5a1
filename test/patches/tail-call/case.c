/*
 * The function ends in a jump to another one.
 *
 * old: 8
 * new: 9
 * changes: outer
 */
#include "../case.h"

noinline long inner(long x)
{
	return x * 2;
}

noinline long outer(long x)
{
	return inner(x + OLD_NEW(0, 0) + 1) + OLD_NEW(0, 1);
}

long probe(void)
{
	return outer(HIDE(3));
}
