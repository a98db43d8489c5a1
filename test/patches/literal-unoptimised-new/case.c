/*
 * The same, and the new string comes in front of those that another function has.
 *
 * old: 107
 * new: 109
 * flags: -O0
 */
#include "../case.h"

noinline const char *get(int i)
{
#ifdef FIX
	if (i == 3)
		return "more";
#endif
	return i ? "kept" : "never";
}

noinline const char *other(int i)
{
	return i ? "other" : "else";
}

long probe(void)
{
	return get(HIDE(3))[0] + other(HIDE(1))[0] - 'o';
}
