/*
 * A program whose relative relocations are packed (DT_RELR): the table that new code reads, and old code is known by.
 *
 * old: 116
 * new: 126
 * changes: first
 * only: pie
 * link: -Wl,-z,pack-relative-relocs
 */
#include "../case.h"

static const char *names[] = { "one", "three", "seven" };

noinline long first(int i)
{
	return *HIDE(names[i]) + OLD_NEW(0, 10);
}

void setup(void)
{
	names[0] = names[HIDE(2)];
}

long probe(void)
{
	return first(HIDE(1));
}
