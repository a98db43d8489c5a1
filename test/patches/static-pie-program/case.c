/*
 * A static program that relocates itself.
 *
 * old: 12
 * new: 24
 * changes: scaled
 * only: pie
 * link: -static-pie
 */
#include "../case.h"

static long factors[3] = { 2, 3, 4 };
static long *const table[] = { &factors[0], &factors[1], &factors[2] };

noinline long scaled(int i)
{
	return *HIDE(table[i]) * 3 * OLD_NEW(1, 2);
}

long probe(void)
{
	return scaled(HIDE(2));
}
