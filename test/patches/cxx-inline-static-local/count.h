#include "../case.h"

noinline inline long count(long up)
{
	static long counter = 40;

	counter += up;
	return HIDE(counter) + OLD_NEW(0, 100);
}

long other(long up);
