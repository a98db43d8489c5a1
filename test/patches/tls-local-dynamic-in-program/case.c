/*
 * The same with local dynamic.
 *
 * old: 10
 * new: 17
 * changes: read_it
 * flags: -fPIC -ftls-model=local-dynamic
 */
#include "../case.h"

static __thread long mine = 7, other = 3;

noinline long read_it(int twice)
{
	return twice ? mine + other + OLD_NEW(0, mine) : mine++ + other++;
}

long probe(void)
{
	return read_it(HIDE(1));
}
