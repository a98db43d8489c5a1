/*
 * And such a library.
 *
 * old: 20
 * new: 30
 * changes: sum
 * image: library
 * flags: -fno-builtin
 * link: -fuse-ld=gold
 */
#include <stdlib.h>
#include <string.h>
#include "../case.h"

__thread long mine = 5;
const char *names[] = { "one", "three", "seven77" };

noinline long sum(int i)
{
	return strlen(names[i]) + mine + labs(-8) + OLD_NEW(0, 10);
}

long probe(void)
{
	return sum(HIDE(2));
}
