/*
 * A new static function as an argument for libc, which calls it.
 *
 * old: 1
 * new: 9
 * changes: extreme
 */
#include <stdlib.h>
#include "../case.h"

static noinline int up(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

#ifdef FIX
static noinline int down(const void *a, const void *b)
{
	return *(const int *)b - *(const int *)a;
}
#endif

noinline long extreme(void)
{
	int v[] = { 5, 1, HIDE(9), 3 };

	qsort(v, 4, sizeof(v[0]), OLD_NEW(up, down));
	return v[0];
}

long probe(void)
{
	return extreme();
}
