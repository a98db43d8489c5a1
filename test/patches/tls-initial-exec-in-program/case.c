/*
 * The same with initial exec.
 *
 * old: 7
 * new: 14
 * changes: read_it
 * flags: -ftls-model=initial-exec
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
