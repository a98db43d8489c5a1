/*
 * A line came in front: what differs is __LINE__, and the file's __FILE__ does not.
 *
 * nothing: line numbers in 1 functions
 */
#include <stdio.h>
#include "../case.h"

#ifdef FIX
#line 100
#else
#line 99
#endif
noinline long report(long x)
{
	if (x > 100)
		fprintf(stderr, "%s:%d: too much\n", __FILE__, __LINE__);
	return x;
}

long probe(void)
{
	return report(HIDE(1));
}
