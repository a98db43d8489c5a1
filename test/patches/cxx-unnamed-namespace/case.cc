/*
 * Functions and variables of an unnamed namespace are local to their file, as static ones are.
 *
 * old: 6
 * new: 12
 */
#include "../case.h"

namespace {
long state = 5;

noinline long get(long x)
{
	return HIDE(state) + x;
}
}

void setup(void)
{
	state = HIDE(5);
}

long probe(void)
{
	return get(HIDE(1)) * OLD_NEW(1, 2);
}
