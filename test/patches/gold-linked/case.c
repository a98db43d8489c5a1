/*
 * A program that gold has linked, with imports, thread-local variables and a table of addresses.
 *
 * old: 20
 * new: 30
 * changes: sum
 * flags: -fno-builtin
 * link: -fuse-ld=gold
 */
#include <stdlib.h>
#include <string.h>
#include "../case.h"

static __thread long mine = 5;
static const char *const names[] = { "one", "three", "seven77" };

noinline long sum(int i)
{
	return strlen(names[i]) + mine + labs(-8) + OLD_NEW(0, 10);
}

long probe(void)
{
	return sum(HIDE(2));
}
