/*
 * No-ops in front of the entry: the objects are to be compiled without them.
 *
 * refused: not-function-sections add: compile old and new without -fpatchable-function-entry
 * flags: -fpatchable-function-entry=16,14
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
