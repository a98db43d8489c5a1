/*
 * The address of an imported function that old code keeps equals the one that new code takes.
 *
 * old: 1
 * new: 2
 * changes: is_known
 * flags: -fno-builtin
 */
#include <stdlib.h>
#include "../case.h"

static int (*volatile kept)(int);

noinline long is_known(int (*f)(int))
{
	return f == abs ? OLD_NEW(1, 2) : 0;
}

void setup(void)
{
	kept = abs;
}

long probe(void)
{
	return is_known(kept);
}
