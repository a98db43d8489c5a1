/*
 * Two functions that must change together: one makes what the other one reads. Nobody sees one new and the other one old,
 * because the function that calls both changes too.
 *
 * old: 12
 * new: 12000
 * changes: make probe take
 */
#include "../case.h"

noinline long make(long x)
{
	return x * OLD_NEW(4, 4000);
}

noinline long take(long x)
{
	return x % OLD_NEW(4, 4000) ? -1 : x;
}

long probe(void)
{
	long made = make(HIDE(3));

	return take(made) + OLD_NEW(0, 0 * HIDE(1));
}
