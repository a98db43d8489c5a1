/*
 * With frame pointers and without unwind tables.
 *
 * old: 3
 * new: 4
 * changes: add
 * flags: -fno-omit-frame-pointer -fno-asynchronous-unwind-tables
 */
#include "../case.h"

noinline long add(long x)
{
	volatile long v = x;

	return v + OLD_NEW(2, 3);
}

long probe(void)
{
	return add(HIDE(1));
}
