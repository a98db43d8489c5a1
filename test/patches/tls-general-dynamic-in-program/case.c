/*
 * A program of objects that were compiled as for a library: the linker has relaxed general dynamic to local exec.
 *
 * old: 7
 * new: 14
 * changes: read_it
 * flags: -fPIC -ftls-model=global-dynamic
 */
#include "../case.h"

__thread long mine = 7;

noinline long read_it(int twice)
{
	return twice ? mine + OLD_NEW(0, mine) : 0;
}

long probe(void)
{
	return read_it(HIDE(1));
}
