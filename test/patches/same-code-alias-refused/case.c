/*
 * Two names for one code in the program; in the new source they are two functions, of which one has changed.
 *
 * refused: shared-code first: second
 */
#include "../case.h"

noinline long first(long x)
{
	return x * 3 + (x + 5) % 7 + OLD_NEW(0, 1);
}

#ifdef FIX
noinline long second(long x)
{
	return x * 3 + (x + 5) % 7;
}
#else
long second(long x) __attribute__((alias("first")));
#endif

static long (*volatile pointers[2])(long);

void setup(void)
{
	pointers[0] = first;
	pointers[1] = second;
}

long probe(void)
{
	return pointers[0](HIDE(10)) + pointers[1](HIDE(10));
}
