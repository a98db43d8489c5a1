/*
 * Integers of 128 bits, whose division is a function of libgcc that the program has or gets with the patch.
 *
 * old: 10
 * new: 30
 */
#include "../case.h"

typedef unsigned __int128 wide;

noinline unsigned long part(wide x, unsigned long by)
{
	return (unsigned long)(x / by) * OLD_NEW(1, 3);
}

long probe(void)
{
	wide x = HIDE(100L);

	return part(x << 64, HIDE(10L)) / (1L << 62) * 0 + part(x, HIDE(10L));
}
