/*
 * A variable of libc of which the program has a copy, or that it reaches by its GOT.
 *
 * old: 1
 * new: 2
 * changes: is_open
 */
#include <stdio.h>
#include "../case.h"

noinline long is_open(FILE *f)
{
	return f == stdout || f == stderr ? OLD_NEW(1, 2) : 0;
}

long probe(void)
{
	return is_open(HIDE(stderr));
}
