/*
 * The fix adds a path that is never taken: gcc moves it to a .cold part that the old function has not.
 *
 * old: 3
 * new: 4
 * changes: check
 */
#include <stdio.h>
#include <stdlib.h>
#include "../case.h"

noinline long check(long x)
{
#ifdef FIX
	if (__builtin_expect(x < 0, 0)) {
		printf("negative: %ld\n", x);
		abort();
	}
#endif
	return x + OLD_NEW(2, 3);
}

long probe(void)
{
	return check(HIDE(1));
}
