/*
 * A static variable of a function that is inlined into two others: one variable, whoever uses it.
 *
 * old: 42
 * new: 142
 */
#include "../case.h"

static inline __attribute__((always_inline)) long count(long up)
{
	static long counter = 40;

	counter += up;
	return HIDE(counter);
}

noinline void up(void)
{
	count(2);
}

noinline long get(void)
{
	return count(0) + OLD_NEW(0, 100);
}

void setup(void)
{
	up();
}

long probe(void)
{
	return get();
}
