/*
 * What changed is in a function that the linker left out of the program.
 *
 * nothing: old and new do not differ
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
