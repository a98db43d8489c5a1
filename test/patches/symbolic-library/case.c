/*
 * -Bsymbolic: the library's calls of its own functions need no PLT.
 *
 * old: 15
 * new: 20
 * changes: helper
 * image: library
 * link: -Wl,-Bsymbolic
 */
#include "../case.h"

long base = 5;

noinline long helper(long x)
{
	return x + base * OLD_NEW(1, 2);
}

long probe(void)
{
	return helper(HIDE(10));
}
