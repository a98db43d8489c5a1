/*
 * Variables come in another order and some go: each is found by its name.
 *
 * old: 6
 * new: 8
 * changes: sum
 */
#include "../case.h"

#ifdef FIX
static long c = 3, a = 1;
long b = 2;
#else
long b = 2, gone = 7;
static long a = 1, c = 3;
#endif

noinline long sum(void)
{
	return HIDE(a) + HIDE(b) + HIDE(c) + OLD_NEW(0, 2);
}

noinline void change(long x)
{
	a = x;
	c = x + 2;
}

void setup(void)
{
	change(1);
}

long probe(void)
{
	return sum();
}
