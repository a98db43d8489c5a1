/*
 * Calls of imports through the GOT (-fno-plt, R_X86_64_GOTPCRELX): the image's own words are used.
 *
 * old: 5
 * new: 15
 * changes: length
 * flags: -fno-plt -fno-builtin
 */
#include <string.h>
#include "../case.h"

noinline long length(const char *s)
{
	return strlen(s) + OLD_NEW(0, 10);
}

long probe(void)
{
	return length(HIDE("12345"));
}
