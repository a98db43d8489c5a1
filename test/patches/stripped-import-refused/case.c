/*
 * Nor can anybody tell whether a stripped program has a function of that name itself.
 *
 * refused: needs-symbols random
 * image: stripped
 */
#include <stdlib.h>
#include "../case.h"

static long weights[4] = { 3, 5, 7, 11 };

noinline long score(const long *v, long n)
{
	long sum = 0;

	for (long i = 0; i < n; i++)
		sum += (v[i] * weights[i & 3]) ^ (i << 4);
	return sum % 1000003 + OLD_NEW(0, random());
}

static long numbers[4] = { 1, 1, 0, 1 };

long probe(void)
{
	return score(HIDE(&numbers[0]), HIDE(4L));
}
