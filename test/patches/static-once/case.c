/*
 * A "done already" flag keeps what it says: the new code does not do it again.
 *
 * old: 1
 * new: 101
 * changes: warn_once
 */
#include "../case.h"

static long warnings;

noinline long warn_once(void)
{
	static int warned;

	if (!warned) {
		warned = 1;
		__atomic_fetch_add(&warnings, 1, __ATOMIC_RELAXED);
	}
	return __atomic_load_n(&warnings, __ATOMIC_RELAXED) + OLD_NEW(0, 100);
}

void setup(void)
{
	warn_once();
}

long probe(void)
{
	return warn_once();
}
