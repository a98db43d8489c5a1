/*
 * The resolver has run already.
 *
 * refused: ifunc-changed chosen: has run already
 * refused: start-code-changed choose: its new code never runs in a process that has started
 */
#include "../case.h"

static noinline long twice(long x)
{
	return 2 * x;
}

static noinline long thrice(long x)
{
	return 3 * x;
}

static void *choose(void)
{
	return HIDE(OLD_NEW(1, 0)) ? twice : thrice;
}

long chosen(long) __attribute__((ifunc("choose")));

long probe(void)
{
	return chosen(HIDE(2));
}
