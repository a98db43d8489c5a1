/*
 * A static thread-local variable of a library, found by a word of the GOT that has no name.
 *
 * old: 7
 * new: 14
 * changes: read_it
 * image: library
 * flags: -ftls-model=global-dynamic
 */
#include "../case.h"

static __thread long mine = 7;

noinline long read_it(int twice)
{
	return twice ? mine + OLD_NEW(0, mine) : mine++;
}

long probe(void)
{
	return read_it(HIDE(1));
}
