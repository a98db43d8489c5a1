/*
 * Two functions have the same code, and gcc made one of them (-fipa-icf). The fix changes the one and not the other.
 *
 * old: 66
 * new: 67
 */
#include "../case.h"

noinline long first(long x)
{
	return x * 3 + (x + 5) % 7 + OLD_NEW(0, 1);
}

noinline long second(long x)
{
	return x * 3 + (x + 5) % 7;
}

static long (*volatile pointers[2])(long);

void setup(void)
{
	pointers[0] = first;
	pointers[1] = second;
}

long probe(void)
{
	return pointers[0](HIDE(10)) + pointers[1](HIDE(10)) + OLD_NEW(4, 4);
}
