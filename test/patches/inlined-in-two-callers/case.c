/*
 * A static function that the compiler inlines: all its callers change.
 *
 * old: 11
 * new: 22
 * between: 12 21
 * changes: first second
 */
#include "../case.h"

static inline __attribute__((always_inline)) long limit(long x)
{
	return x > 100 ? 100 : x + OLD_NEW(0, 1);
}

noinline long first(long x)
{
	return limit(x) * 10;
}

noinline long second(long x)
{
	return limit(x);
}

long probe(void)
{
	return first(HIDE(1)) + second(HIDE(1));
}
