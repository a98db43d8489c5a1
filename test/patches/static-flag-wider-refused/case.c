/*
 * A flag that only ever was 0 or 1, of which clang made one byte, gets more values and is as wide as it is written now.
 *
 * refused: static-ambiguous started
 * only: clang
 */
#include "../case.h"

static int started;

noinline long start(void)
{
	if (!started) {
		started = OLD_NEW(1, 2);
		return OLD_NEW(5, 6);
	}
	return 7;
}

#ifdef FIX
noinline void other(void)
{
	started = 3;
}
#endif

void setup(void)
{
	start();
}

long probe(void)
{
	return start();
}
