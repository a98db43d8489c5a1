/*
 * Vectors of constants that a loop became (-O3), or that sign bits are changed with.
 *
 * old: 30
 * new: 46
 * changes: sum
 */
#include "../case.h"

noinline long sum(const int *v)
{
	int s = 0;
	double d = -(double)HIDE(v[0]);

	for (int i = 0; i < 16; i++)
		s += v[i] * 2 + OLD_NEW(0, 1);
	return s + (long)d + v[0];
}

static int numbers[16] = { 1, 2, 3, 4, 5 };

long probe(void)
{
	return sum(HIDE(&numbers[0]));
}
