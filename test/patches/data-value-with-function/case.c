/*
 * A value and the function that reads it change at once; nobody sees one without the other.
 *
 * old: 11
 * new: 22
 * changes: get
 * options: --data
 */
#include "../case.h"

static long limit = OLD_NEW(10, 20);

noinline long get(long *p)
{
	return *p + OLD_NEW(1, 2);
}

long probe(void)
{
	return get(HIDE(&limit));
}
