/*
 * The new source differs in a comment.
 *
 * nothing: old and new do not differ
 */
#include "../case.h"

#ifdef FIX
/* Gives what it gets. */
#endif
noinline long same(long x)
{
	return x;
}

long probe(void)
{
	return same(HIDE(1));
}
