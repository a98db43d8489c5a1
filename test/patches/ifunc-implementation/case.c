/*
 * What was chosen changes: it is a function like others.
 *
 * old: 4
 * new: 5
 * changes: twice
 */
#include "../case.h"

static noinline long twice(long x)
{
	return 2 * x + OLD_NEW(0, 1);
}

static void *choose(void)
{
	return twice;
}

long chosen(long) __attribute__((ifunc("choose")));

long probe(void)
{
	return chosen(HIDE(2));
}
