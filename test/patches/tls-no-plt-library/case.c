/*
 * __tls_get_addr() is called by its GOT word.
 *
 * old: 7
 * new: 14
 * changes: read_it
 * image: library
 * flags: -fno-plt
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
