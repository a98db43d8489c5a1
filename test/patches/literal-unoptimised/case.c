/*
 * Without optimisation gcc leaves strings in .rodata, unnamed among others.
 *
 * old: 98
 * new: 99
 * flags: -O0
 */
#include "../case.h"

noinline const char *get(int i)
{
	if (i == 2)
		return "in front";
	return i ? OLD_NEW("b", "c") : "kept";
}

noinline const char *other(int i)
{
	return i ? "other" : "else";
}

long probe(void)
{
	return get(HIDE(1))[0] + other(HIDE(1))[0] - 'o';
}
