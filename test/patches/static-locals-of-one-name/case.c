/*
 * Three functions have a static variable "count" each; two of them change, and go on with their own.
 *
 * old: 123
 * new: 223
 */
#include "../case.h"

noinline long first(long up)
{
	static long count = 90;

	count += up;
	return count + OLD_NEW(0, 100);
}

noinline long second(long up)
{
	static long count = 10;

	count += 2 * up;
	return count;
}

noinline long third(long up)
{
	static long count = 5;

	count += 3 * up;
	return count + OLD_NEW(0, 0 * HIDE(3));
}

void setup(void)
{
	first(4);
	second(3);
	third(4);
	first(-4);
	second(-3);
	third(-4);
	first(3);
	second(5);
	third(-1);
}

long probe(void)
{
	return first(HIDE(0)) + second(HIDE(0)) + third(HIDE(0)) + 8;
}
