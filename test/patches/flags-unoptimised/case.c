/*
 * Not optimised at all.
 *
 * old: 7
 * new: 8
 * changes: add
 * flags: -O0
 */
#include "../case.h"

static long base = 2;

static long half(long y)
{
	return y / 2;
}

noinline long add(long x, long y)
{
	return x * 3 + half(y) + base + OLD_NEW(0, 1);
}

long probe(void)
{
	return add(HIDE(1), HIDE(4));
}
