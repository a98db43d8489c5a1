/*
 * A string with zeros in it, which is no mergeable one.
 *
 * old: 98
 * new: 99
 * changes: get
 */
#include "../case.h"

noinline long get(int i)
{
	const char *s = HIDE(OLD_NEW("a\0b", "a\0c"));

	return s[i];
}

long probe(void)
{
	return get(HIDE(2));
}
