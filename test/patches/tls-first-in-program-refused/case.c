/*
 * No thread-local variable yet, and the fix wants one.
 *
 * refused: new-tls depth
 */
#include "../case.h"

#ifdef FIX
__thread int depth;
#endif

noinline long enter(long x)
{
#ifdef FIX
	depth++;
#endif
	return x;
}

long probe(void)
{
	return enter(HIDE(1));
}
