/*
 * One function differs by its line number only, the other one has the fix: both are part of the patch.
 *
 * old: 1
 * new: 2
 * changes: fixed report
 */
#include <stdio.h>
#include "../case.h"

#ifdef FIX
#line 200
#else
#line 100
#endif
noinline long report(long x)
{
	if (x > 100)
		fprintf(stderr, "%s:%d: too much\n", __FILE__, __LINE__);
	return x;
}

noinline long fixed(long x)
{
	return report(x) + OLD_NEW(0, 1);
}

long probe(void)
{
	return fixed(HIDE(1));
}
