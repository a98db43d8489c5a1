/*
 * New code calls an indirect function of the program, which was chosen at the start.
 *
 * old: 4
 * new: 40
 * changes: user
 */
#include "../case.h"

static noinline long twice(long x)
{
	return 2 * x;
}

static void *choose(void)
{
	return twice;
}

long chosen(long) __attribute__((ifunc("choose")));

noinline long user(long x)
{
	return chosen(x) * OLD_NEW(1, 10);
}

long probe(void)
{
	return user(HIDE(2));
}
