/*
 * A variable with a cleanup function.
 *
 * old: 3
 * new: 5
 * changes: scope
 */
#include "../case.h"

static noinline void leave(long **p)
{
	**p += 2;
}

noinline long scope(long *count)
{
	{
		long *guard __attribute__((cleanup(leave))) = count;

		*guard += OLD_NEW(1, 3);
	}
	return *count;
}

long probe(void)
{
	long count = HIDE(0L);

	return scope(&count);
}
