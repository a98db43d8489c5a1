/*
 * clang made two variables of a static structure; in the new source its address is taken, and it is one.
 *
 * refused: static-ambiguous
 * only: clang
 */
#include "../case.h"

static struct {
	long a, b;
} state;

noinline long step(long x)
{
	state.a += x;
	state.b += 2 * x;
#ifdef FIX
	return *HIDE(&state.a) + state.b;
#else
	return state.a + state.b;
#endif
}

void setup(void)
{
	step(HIDE(1));
}

long probe(void)
{
	return step(HIDE(0));
}
