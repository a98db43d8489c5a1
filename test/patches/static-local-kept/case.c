/*
 * New code goes on with the static local variable that the old code has counted in.
 *
 * old: 41
 * new: 141
 * changes: count
 */
#include "../case.h"

static noinline long count(int up)
{
	static long counter = 40;

	if (up)
		counter++;
	return HIDE(counter) + OLD_NEW(0, 100);
}

void setup(void)
{
	count(1);
}

long probe(void)
{
	return count(HIDE(0));
}
