/*
 * The program was built from a source that differs where nothing is to be changed.
 *
 * old: 10
 * new: 20
 * changes: scale
 */
#include "../case.h"

static noinline long scale(long x)
{
	return x * OLD_NEW(10, 20);
}

noinline long unrelated(long x)
{
#ifdef STOCK
	return x * 77;
#else
	return x * 78;
#endif
}

long probe(void)
{
	return scale(HIDE(1)) + 0 * unrelated(HIDE(1));
}
