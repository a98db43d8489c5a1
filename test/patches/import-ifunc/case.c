/*
 * Functions that libc chooses for the processor (memcpy, strchr): old and new imports.
 *
 * old: 4
 * new: 15
 * changes: where
 * flags: -fno-builtin
 */
#include <string.h>
#include "../case.h"

noinline long where(const char *s, int c)
{
	char copy[16];

	memcpy(copy, s, sizeof(copy));
#ifdef FIX
	return strrchr(copy, c) - copy + strspn(copy, "abcdef") + 1;
#else
	return strchr(copy, c) - copy;
#endif
}

long probe(void)
{
	return where(HIDE("abcdefgfedxxxxx"), 'e') + OLD_NEW(0, 0);
}
