/*
 * A program without a symbol table: the old functions are found by their code.
 *
 * old: 19
 * new: 29
 * image: stripped
 */
#include "../case.h"

static long weights[4] = { 3, 5, 7, 11 };

noinline long score(const long *v, long n)
{
	long sum = 0;

	for (long i = 0; i < n; i++)
		sum += (v[i] * weights[i & 3]) ^ (i << 4);
	return sum % 1000003 + OLD_NEW(0, 10);
}

static long numbers[4] = { 1, 1, 0, 1 };

long probe(void)
{
	return score(HIDE(&numbers[0]), HIDE(4L)) % 100 + 4;
}
