/*
 * A function that was to run before main(): that was long ago.
 *
 * refused: constructor-changed: do the work elsewhere
 */
#include "../case.h"

static long state = 1;

#ifdef FIX
__attribute__((constructor)) static void prepare(void)
{
	state = HIDE(2);
}
#endif

noinline long get(void)
{
	return HIDE(state) + OLD_NEW(0, 1);
}

void setup(void)
{
	state++;
}

long probe(void)
{
	return get();
}
