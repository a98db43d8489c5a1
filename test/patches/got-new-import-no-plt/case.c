/*
 * A new import through a word of the patch's own.
 *
 * old: 5
 * new: 6
 * changes: length
 * flags: -fno-plt -fno-builtin
 */
#include <stdlib.h>
#include <string.h>
#include "../case.h"

noinline long length(const char *s)
{
	return strlen(s) + OLD_NEW(0, atoi(s + 4)) - OLD_NEW(0, 4);
}

long probe(void)
{
	return length(HIDE("12345"));
}
