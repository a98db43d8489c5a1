/*
 * Strings are compared by what they say, not by where they are.
 *
 * old: 111
 * new: 110
 * changes: word
 */
#include "../case.h"

noinline const char *word(int i)
{
	return i ? OLD_NEW("old", "new") : "neither";
}

noinline const char *other(int i)
{
	return i ? "neither" : "other";
}

long probe(void)
{
	return word(HIDE(1))[0] + other(HIDE(1))[0] - 'n';
}
