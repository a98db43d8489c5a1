/*
 * A weak function that nobody overrides is like any other.
 *
 * old: 2
 * new: 3
 * changes: hook
 */
#include "../case.h"

__attribute__((weak)) noinline long hook(long x)
{
	return x + OLD_NEW(1, 2);
}

long probe(void)
{
	return hook(HIDE(1));
}
