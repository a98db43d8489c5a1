/*
 * The function changes and its .cold part does not; they belong together and jump to each other.
 *
 * old: 13
 * new: 23
 * changes: check
 */
#include <stdio.h>
#include <stdlib.h>
#include "../case.h"

noinline long check(long x)
{
	if (__builtin_expect(x > 1000, 0)) {
		fprintf(stderr, "too much: %ld\n", x);
		if (x > 2000)
			abort();
		x = 7;
	}
	return x * OLD_NEW(10, 20) + 3;
}

long probe(void)
{
	return check(HIDE(1));
}
