/*
 * A weak function that another file overrides: the program runs the other one, and the weak one is left alone.
 *
 * old: 10
 * new: 11
 */
#include "../case.h"

__attribute__((weak)) noinline long hook(long x)
{
	return x + OLD_NEW(1, 2);
}

noinline long user(long x)
{
	return hook(x) + OLD_NEW(0, 1);
}

long probe(void)
{
	return user(HIDE(1));
}
