/*
 * A new object with a constructor, which was to run before main().
 *
 * refused: constructor-changed
 */
#include "../case.h"

#ifdef FIX
struct State {
	long n;
	State() : n(HIDE(3)) {}
};

static State state;
#endif

noinline long get()
{
	return OLD_NEW(HIDE(1), HIDE(state.n));
}

long probe(void)
{
	return get();
}
