/*
 * As Debian compiles: hardened, with everything bound at the start.
 *
 * old: 6
 * new: 16
 * changes: copy
 * flags: -g -fstack-protector-strong -Wformat -Werror=format-security -D_FORTIFY_SOURCE=2
 * link: -Wl,-z,relro -Wl,-z,now
 */
#include <stdio.h>
#include <string.h>
#include "../case.h"

noinline long copy(const char *s)
{
	char buf[32];

	snprintf(buf, sizeof(buf), "<%s>", s);
	strcat(buf, "x");
	return strlen(buf) + OLD_NEW(0, 10);
}

long probe(void)
{
	return copy(HIDE("abc"));
}
