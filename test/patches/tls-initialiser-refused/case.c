/*
 * The initial value was copied when each thread began.
 *
 * refused: data-initialiser-changed mine: each thread has a copy of its own
 * options: --data
 */
#include "../case.h"

__thread long mine = OLD_NEW(7, 8);

noinline long read_it(int twice)
{
	return twice ? mine + OLD_NEW(0, mine) : 0;
}

long probe(void)
{
	return read_it(HIDE(1));
}
