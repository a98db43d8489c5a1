/*
 * A frame that is aligned more than the stack is.
 *
 * old: 6
 * new: 12
 * changes: aligned
 */
#include "../case.h"

noinline long aligned(long x)
{
	volatile long v[8] __attribute__((aligned(64))) = { 1, 2, 3, x };

	return (unsigned long)v % 64 ? -1 : (v[0] + v[1] + v[2] + v[3] - x) * OLD_NEW(1, 2);
}

long probe(void)
{
	return aligned(HIDE(4));
}
