/*
 * A new import of another library that the program has.
 *
 * old: 2
 * new: 27
 * changes: power
 * flags: -fno-builtin
 */
#include <math.h>
#include "../case.h"

noinline long power(double x)
{
#ifdef FIX
	return (long)(cbrt(x * x * x) * 9);
#else
	return (long)x - 1;
#endif
}

long probe(void)
{
	return power(HIDE(3L));
}
