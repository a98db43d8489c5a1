/*
 * New code compares an address that the old code has stored with that of a changed function: it is the old one.
 *
 * old: 1
 * new: 2
 * changes: known plain
 * between: 0
 */
#include "../case.h"

long plain(long x)
{
	return x + OLD_NEW(1, 29);
}

static long (*volatile handler)(long);

void setup(void)
{
	handler = plain;
}

noinline long known(void)
{
	return (handler == plain) + OLD_NEW(0, 1);
}

long probe(void)
{
	return known();
}
