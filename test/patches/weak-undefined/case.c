/*
 * A weak function that nobody defines: its address is 0, in new code as in old.
 *
 * old: 1
 * new: 2
 * changes: maybe
 */
#include "../case.h"

extern long hook(long) __attribute__((weak));

noinline long maybe(long x)
{
	return hook ? hook(x) : x + OLD_NEW(0, 1);
}

long probe(void)
{
	return maybe(HIDE(1));
}
