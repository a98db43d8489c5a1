/*
 * The changed function is called by a pointer that the program stored before.
 *
 * old: 2
 * new: 30
 * changes: plain
 */
#include "../case.h"

static long plain(long x)
{
	return x + OLD_NEW(1, 29);
}

static long (*volatile handler)(long);

void setup(void)
{
	handler = plain;
}

long probe(void)
{
	return handler(HIDE(1));
}
