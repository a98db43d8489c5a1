/*
 * The fix moves a function to another file: it is the same there, and stays where it is.
 *
 * old: 3
 * new: 4
 * changes: user
 */
#include "../case.h"

#ifndef FIX
noinline long helper(long x)
{
	return x * 3;
}
#else
long helper(long);
#endif

noinline long user(long x)
{
	return helper(x) + OLD_NEW(0, 1);
}

long probe(void)
{
	return user(HIDE(1));
}
