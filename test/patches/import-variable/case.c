/*
 * A variable of libc in a library, which never has a copy.
 *
 * old: 1
 * new: 2
 * changes: is_open
 * image: library
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
