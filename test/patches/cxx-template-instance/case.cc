/*
 * A template changes: both instances are in the patch.
 *
 * old: 10
 * new: 12
 * between: 11
 * changes: _Z5twiceIiET_S0_ _Z5twiceIlET_S0_
 */
#include "../case.h"

template <typename T> noinline T twice(T x)
{
	return x * 2 + OLD_NEW(0, 1);
}

long probe(void)
{
	long a = twice(HIDE(3));

	return a + twice(HIDE(2L));
}
