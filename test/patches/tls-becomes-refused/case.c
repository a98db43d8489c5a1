/*
 * An ordinary variable becomes thread-local.
 *
 * refused: tls-changed state: give it another name
 */
#include "../case.h"

OLD_NEW(, __thread) long state = 5;

noinline long read_it(long up)
{
	return state += up;
}

long probe(void)
{
	return read_it(HIDE(0));
}
