/*
 * The fix moves a static variable with the code that uses it into a new function.
 *
 * old: 41
 * new: 141
 */
#include "../case.h"

#ifdef FIX
static noinline long next(int up)
{
	static long counter = 40;

	if (up)
		counter++;
	return HIDE(counter);
}
#endif

noinline long count(int up)
{
#ifdef FIX
	return next(up) + 100;
#else
	static long counter = 40;

	if (up)
		counter++;
	return HIDE(counter);
#endif
}

void setup(void)
{
	count(1);
}

long probe(void)
{
	return count(HIDE(0));
}
