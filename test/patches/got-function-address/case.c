/*
 * The address of an imported function, as a value.
 *
 * old: 3
 * new: 4
 * changes: call
 * flags: -fno-builtin
 */
#include <stdlib.h>
#include "../case.h"

noinline long call(int x)
{
	int (*volatile f)(int) = abs;

	return f(x) + OLD_NEW(0, 1);
}

long probe(void)
{
	return call(HIDE(-3));
}
