/*
 * The same with static functions, which have one symbol then.
 *
 * refused: shared-code first: for second
 * only: gcc
 */
#include "../case.h"

static noinline long first(long x)
{
	return x * 3 + (x + 5) % 7 + OLD_NEW(0, 1);
}

static noinline long second(long x)
{
	return x * 3 + (x + 5) % 7;
}

long probe(void)
{
	return first(HIDE(10)) + second(HIDE(10));
}
