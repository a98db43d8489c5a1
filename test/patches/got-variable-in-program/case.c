/*
 * A program of objects compiled with -fPIC: the linker has made lea of mov.
 *
 * old: 7
 * new: 14
 * changes: read_it
 * flags: -fPIC
 */
#include "../case.h"

extern long shown;

noinline long read_it(int i)
{
	return i ? shown * OLD_NEW(1, 2) : 0;
}

long probe(void)
{
	return read_it(HIDE(1));
}
