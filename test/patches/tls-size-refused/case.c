/*
 * A thread-local buffer grows: each thread has room for the old one.
 *
 * refused: data-size-changed buffer: put the addition into a new variable
 */
#include "../case.h"

static __thread char buffer[OLD_NEW(16, 32)];

noinline long fill(int i)
{
	return ++buffer[i];
}

long probe(void)
{
	return fill(HIDE(0)) * 0 + 1;
}
