/*
 * Control-flow enforcement: the jump comes after endbr64, new functions and stubs begin with one.
 *
 * old: 3
 * new: 13
 * changes: call
 * flags: -fcf-protection=full
 */
#include "../case.h"

noinline long call(long (*f)(long), long x)
{
	return f(x) + OLD_NEW(0, 10);
}

noinline long plain(long x)
{
	return x + 2;
}

long probe(void)
{
	return call(HIDE(&plain), 1);
}
