/*
 * A new table of pointers to old and new functions (R_X86_64_64 in the patch).
 *
 * old: 11
 * new: 33
 * changes: probe
 */
#include "../case.h"

noinline long first(long x)
{
	return x + 10;
}

noinline long second(long x)
{
	return x + 20;
}

#ifdef FIX
static noinline long third(long x)
{
	return x + 32;
}

static long (*const table[])(long) = { first, second, third };
#endif

long probe(void)
{
#ifdef FIX
	return table[HIDE(2)](HIDE(1));
#else
	return HIDE(1) ? first(HIDE(1)) : second(HIDE(1));
#endif
}
