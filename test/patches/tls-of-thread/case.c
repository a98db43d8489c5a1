/*
 * Each thread's own variable: the new code counts on where the old code was, in every thread.
 *
 * old: 1
 * new: 2
 * changes: next
 */
#include "../case.h"

static __thread unsigned long calls, odd;

noinline long next(void)
{
	calls++;
	odd ^= 1;
	return (calls & 1) == odd ? OLD_NEW(1, 2) : 0;
}

long probe(void)
{
	return next();
}
