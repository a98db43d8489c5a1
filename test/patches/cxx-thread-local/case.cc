/*
 * A thread-local variable with a constructor and a destructor, which exists already. The constructor is called in the only
 * function that uses it, so nothing tells that this did not change.
 *
 * options: --start-code-ok
 * old: 41
 * new: 141
 */
#include "../case.h"

struct State {
	long n;
	State() : n(HIDE(41)) {}
	~State() { n = 0; }
};

static thread_local State state;

noinline long get()
{
	return HIDE(state.n) + OLD_NEW(0, 100);
}

long probe(void)
{
	return get();
}
