/*
 * Two static variables of one name in one function, and a third one comes: which of them is whose the source does not say, as
 * long as what a macro of another file stands for is not known.
 * clang notes the hash of the source, which then tells.
 *
 * only: gcc
 * refused: static-ambiguous: give the new ones names of their own
 */
#include "../case.h"

noinline long keep(long x)
{
	long sum = 0;

#ifdef FIX
	{
		static long state = 3;

		sum += state += HIDE(x);
	}
#endif
	{
		static long state = 1;

		sum += state += HIDE(x);
	}
	{
		static long state = 2;

		sum += state += HIDE(x);
	}
	return sum;
}

long probe(void)
{
	return keep(HIDE(0));
}
