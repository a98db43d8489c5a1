/*
 * A line came in front: what differs is __LINE__, which is a difference like any other.
 *
 * old: 103
 * new: 106
 * changes: report
 */
#include "../case.h"

#ifdef FIX
#line 100
#else
#line 99
#endif
noinline long report(long x)
{
	if (x > 100)
		return __LINE__;
	return 0;
}

long probe(void)
{
	return report(HIDE(101));
}
