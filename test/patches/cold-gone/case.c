/*
 * The fix takes the unlikely path away, and the .cold part with it.
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
#ifndef FIX
	if (__builtin_expect(x > 100, 0)) {
		fprintf(stderr, "too much: %ld\n", x);
		abort();
	}
#endif
	return x + OLD_NEW(2, 3);
}

long probe(void)
{
	return check(HIDE(1));
}
