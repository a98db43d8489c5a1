/*
 * A static variable that is initialised when it is reached: the guard and the storage of the old code count.
 *
 * old: 41
 * new: 141
 */
#include "../case.h"

static long starts;

struct State {
	long n;
	State() : n(40) { __atomic_fetch_add(&starts, 1, __ATOMIC_RELAXED); }
};

noinline long get(long up)
{
	static State state;

	state.n += up;
	return HIDE(state.n) + OLD_NEW(0, 100) + (__atomic_load_n(&starts, __ATOMIC_RELAXED) - 1) * 1000;
}

void setup(void)
{
	get(1);
}

long probe(void)
{
	return get(HIDE(0));
}
