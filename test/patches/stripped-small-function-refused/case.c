/*
 * In a stripped program a function of a few bytes could be anywhere.
 *
 * refused: needs-symbols: too small to be known by their code
 * image: stripped
 */
#include "../case.h"

static noinline long tiny(long x)
{
	return x + OLD_NEW(1, 2);
}

static long (*volatile pointer)(long);

void setup(void)
{
	pointer = tiny;
}

long probe(void)
{
	return pointer(HIDE(1));
}
