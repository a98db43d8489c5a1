/*
 * A new static variable with a guard, which many threads reach at once.
 *
 * old: 1
 * new: 50
 */
#include "../case.h"

#ifdef FIX
static long starts;

struct State {
	long n;
	State() : n(HIDE(49)) { __atomic_fetch_add(&starts, 1, __ATOMIC_RELAXED); }
};
#endif

noinline long get()
{
#ifdef FIX
	static State state;

	return HIDE(state.n) + __atomic_load_n(&starts, __ATOMIC_RELAXED);
#else
	return HIDE(1);
#endif
}

long probe(void)
{
	return get();
}
