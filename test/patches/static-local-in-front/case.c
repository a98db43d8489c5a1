/*
 * The fix puts a static variable of the same name in front of the one that is there, which gets another number.
 *
 * old: 41
 * new: 1041
 * changes: count
 */
#include "../case.h"

#ifdef FIX
static noinline long limit(void)
{
	static long counter = 1000;

	return HIDE(counter);
}
#else
#define limit() 0
#endif

static noinline long count(int up)
{
	static long counter = 40;

	if (up)
		counter++;
	return HIDE(counter) + limit();
}

void setup(void)
{
	count(1);
}

long probe(void)
{
	return count(HIDE(0));
}
