/*
 * A new function that does not return, and an old one that calls exit() where it returned before.
 *
 * old: 3
 * new: 4
 * changes: check
 */
#include <stdlib.h>
#include "../case.h"

#ifdef FIX
static noinline __attribute__((noreturn)) void give_up(long x)
{
	exit(HIDE(x));
}
#endif

noinline long check(long x)
{
#ifdef FIX
	if (x > 100)
		give_up(x);
#else
	if (x > 100)
		return -1;
#endif
	return x + OLD_NEW(2, 3);
}

long probe(void)
{
	return check(HIDE(1));
}
