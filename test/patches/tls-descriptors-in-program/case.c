/*
 * The same in a program, where the linker has made constants of the descriptors.
 *
 * old: 7
 * new: 14
 * changes: read_it
 * only: gcc
 * flags: -fPIC -mtls-dialect=gnu2
 */
#include "../case.h"

static __thread long mine = 7;

noinline long read_it(int twice)
{
	return twice ? mine + OLD_NEW(0, mine) : 0;
}

long probe(void)
{
	return read_it(HIDE(1));
}
