/*
 * Protected functions and variables cannot be preempted.
 *
 * old: 15
 * new: 20
 * changes: helper
 * image: library
 */
#include "../case.h"

__attribute__((visibility("protected"))) long base = 5;

__attribute__((visibility("protected"))) noinline long helper(long x)
{
	return x + base * OLD_NEW(1, 2);
}

long probe(void)
{
	return helper(HIDE(10));
}
