/*
 * Compilers refer to places in front of an array to save an addition.
 *
 * old: 12
 * new: 13
 * changes: get
 */
#include "../case.h"

static int before[16], table[16];

noinline long get(long i)
{
	return table[i - 40] + before[i - 40] + OLD_NEW(0, 1);
}

void setup(void)
{
	table[2] = HIDE(7);
	before[2] = HIDE(5);
}

long probe(void)
{
	return get(HIDE(42L));
}
