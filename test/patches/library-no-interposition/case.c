/*
 * A library whose code calls its own functions directly although they are exported.
 *
 * old: 6
 * new: 7
 * image: library
 * flags: -fno-semantic-interposition
 */
#include "../case.h"

noinline long shown(long x)
{
	return HIDE(x) * 2 + OLD_NEW(0, 1);
}

noinline long user(long x)
{
	return shown(x);
}

long probe(void)
{
	return user(HIDE(3));
}
