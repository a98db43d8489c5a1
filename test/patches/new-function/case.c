/*
 * The fix adds functions, one of which refers to the other and to an old one.
 *
 * old: 5
 * new: 32
 * changes: probe
 */
#include "../case.h"

noinline long old_one(long x)
{
	return x + 4;
}

#ifdef FIX
static noinline long twice(long x)
{
	return old_one(x) * 2;
}

noinline long new_one(long x)
{
	return x > 100 ? 0 : twice(x) + 22;
}
#else
#define new_one old_one
#endif

long probe(void)
{
	return new_one(HIDE(1));
}
