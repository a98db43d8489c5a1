/*
 * What changed is in a function that the linker left out of the program.
 *
 * nothing: case.o: what changed in it was left out by the linker
 * flags: -ffunction-sections
 * link: -Wl,--gc-sections
 */
#include "../case.h"

long nobody_calls_it(long x)
{
	return x + OLD_NEW(1, 2);
}

long probe(void)
{
	return HIDE(1);
}
