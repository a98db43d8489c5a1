/*
 * -fvisibility=hidden, as many libraries are compiled.
 *
 * old: 15
 * new: 25
 * changes: helper
 * image: library
 * flags: -fvisibility=hidden
 */
#include "../case.h"

long base = 5;

noinline long helper(long x)
{
	return x + base * OLD_NEW(1, 3);
}

__attribute__((visibility("default"))) long probe(void)
{
	return helper(HIDE(10));
}
