/*
 * A static program: calls of libc go straight there, indirect functions by their PLT.
 *
 * old: 5
 * new: 15
 * changes: length
 * only: nopie
 * flags: -fno-builtin
 * link: -static
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
