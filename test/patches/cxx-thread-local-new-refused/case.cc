/*
 * And one that is new: there is no room for it.
 *
 * refused: new-tls
 */
#include "../case.h"

#ifdef FIX
struct State {
	long n;
	State() : n(HIDE(41)) {}
	~State() { n = 0; }
};

static thread_local State state;
#endif

noinline long get()
{
	return OLD_NEW(HIDE(1), HIDE(state.n));
}

long probe(void)
{
	return get();
}
