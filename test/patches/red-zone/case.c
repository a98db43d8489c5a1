/*
 * A leaf function that keeps its variables below the stack pointer.
 *
 * old: 28
 * new: 56
 * changes: leaf
 */
#include "../case.h"

noinline long leaf(long x)
{
	volatile long v[8];
	long sum = 0;

	for (int i = 0; i < 8; i++)
		v[i] = i * x;
	for (int i = 0; i < 8; i++)
		sum += v[i] * OLD_NEW(1, 2);
	return sum;
}

long probe(void)
{
	return leaf(HIDE(1));
}
