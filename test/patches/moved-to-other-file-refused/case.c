/*
 * The fix moves a function to another file: whether it changed on the way is not known.
 *
 * refused: function-moved helper: leave it in its source file
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
