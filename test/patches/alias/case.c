/*
 * A function with two names.
 *
 * old: 33
 * new: 35
 * between: 34
 */
#include "../case.h"

noinline long real(long x)
{
	return x + OLD_NEW(0, 1);
}

extern long other_name(long) __attribute__((alias("real")));

long probe(void)
{
	return real(HIDE(11)) + other_name(HIDE(22));
}
