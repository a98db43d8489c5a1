/*
 * And the other way round: with the fix clang can make one byte of it, but the program has a word.
 *
 * refused: static-ambiguous started
 * only: clang
 */
#include "../case.h"

static int started;

noinline long start(void)
{
	if (!started) {
		started = OLD_NEW(2, 1);
		return OLD_NEW(5, 6);
	}
	return 7;
}

#ifndef FIX
noinline void other(void)
{
	started = 1;
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
