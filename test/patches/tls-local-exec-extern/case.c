/*
 * A thread-local variable that another file of the program defines (initial exec, which the linker relaxes to local exec).
 *
 * old: 7
 * new: 14
 * changes: read_it
 */
#include "../case.h"

extern __thread long mine;

noinline long read_it(int twice)
{
	return twice ? mine + OLD_NEW(0, mine) : 0;
}

long probe(void)
{
	return read_it(HIDE(1));
}
