/*
 * A function that is to run at exit is not called by anybody.
 *
 * refused: constructor-changed
 */
#include "../case.h"

static long state = 1;

#ifdef FIX
__attribute__((destructor)) static void finish(void)
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
