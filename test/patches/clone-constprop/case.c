/*
 * All callers give the same second argument, so gcc makes a clone (.constprop) of the static function.
 *
 * old: 42
 * new: 52
 */
#include "../case.h"

static noinline long scale(long x, long by, const long *table)
{
	long sum = OLD_NEW(0, 10);

	for (long i = 0; i < by; i++)
		sum += table[i & 3] * x;
	return sum;
}

static const long table[4] = { 1, 2, 3, 4 };

noinline long first(long x)
{
	return scale(x, 7, table);
}

noinline long second(long x)
{
	return scale(x + 1, 7, table);
}

long probe(void)
{
	return HIDE(0) ? second(1) : first(HIDE(1)) + 26;
}
