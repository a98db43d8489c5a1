/*
 * A frame whose size is known at run time only.
 *
 * old: 45
 * new: 55
 * changes: sum
 */
#include "../case.h"

noinline long sum(int n)
{
	volatile int v[n];
	long s = 0;

	for (int i = 0; i < n; i++)
		v[i] = i;
	for (int i = 0; i < n; i++)
		s += v[i] + OLD_NEW(0, 1);
	return s;
}

long probe(void)
{
	return sum(HIDE(10));
}
