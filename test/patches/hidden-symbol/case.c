/*
 * A hidden function and a hidden variable of a library, which have no words in its GOT.
 *
 * old: 15
 * new: 20
 * changes: helper
 * image: library
 */
#include "../case.h"

__attribute__((visibility("hidden"))) long base = 5;

__attribute__((visibility("hidden"))) noinline long helper(long x)
{
	return x + base * OLD_NEW(1, 2);
}

long probe(void)
{
	return helper(HIDE(10));
}
