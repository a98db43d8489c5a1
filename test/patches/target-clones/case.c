/*
 * A function in two versions for two processors, of which one is chosen at the start.
 *
 * old: 136
 * new: 152
 * flags: -Wno-unused-function
 * only: gcc
 */
#include "../case.h"

__attribute__((target_clones("avx2", "default"))) noinline long sum(const int *v)
{
	long s = 0;

	for (int i = 0; i < 16; i++)
		s += v[i] + OLD_NEW(0, 1);
	return s;
}

static int numbers[16] = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16 };

long probe(void)
{
	return sum(HIDE(&numbers[0]));
}
