/*
 * Compiled for another way of patching: no-ops at each entry.
 *
 * old: 3
 * new: 4
 * changes: add
 * flags: -fpatchable-function-entry=5
 */
#include "../case.h"

noinline long add(long x)
{
	return x + OLD_NEW(2, 3);
}

long probe(void)
{
	return add(HIDE(1));
}
