/*
 * A function that runs before main() changes, and so does another one: the first has run, and nobody calls it any more.
 *
 * refused: start-code-changed prepare: its new code never runs in a process that has started
 */
#include "../case.h"

static long state;

__attribute__((constructor)) static void prepare(void)
{
	state = HIDE(OLD_NEW(4, 40));
}

noinline long get(void)
{
	return HIDE(state) + OLD_NEW(1, 2);
}

long probe(void)
{
	return get();
}
