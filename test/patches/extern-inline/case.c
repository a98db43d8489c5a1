/*
 * A C99 inline function with its external definition.
 *
 * old: 5
 * new: 6
 */
#include "../case.h"

inline long add(long x)
{
	return x + OLD_NEW(4, 5);
}

extern inline long add(long x);

static long (*volatile pointer)(long);

void setup(void)
{
	pointer = add;
}

long probe(void)
{
	return pointer(HIDE(1));
}
