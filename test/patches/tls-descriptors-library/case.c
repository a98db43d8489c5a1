/*
 * A thread-local variable of a library that is found by a descriptor (-mtls-dialect=gnu2): by the library's own one.
 *
 * old: 7
 * new: 14
 * changes: read_it
 * image: library
 * only: gcc
 * flags: -mtls-dialect=gnu2
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
