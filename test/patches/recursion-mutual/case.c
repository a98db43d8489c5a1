/*
 * Two functions that call each other; one changes.
 *
 * old: 6
 * new: 9
 * changes: odd
 */
#include "../case.h"

long odd(long n);

noinline long even(long n)
{
	return n ? HIDE(odd(n - 1)) + 1 : 0;
}

noinline long odd(long n)
{
	return n ? HIDE(even(n - 1)) + OLD_NEW(1, 2) : 0;
}

long probe(void)
{
	return even(HIDE(6));
}
