/*
 * The program was built from another version of the source.
 *
 * refused: target-differs scale: must be built from the target's source
 */
#include "../case.h"

#ifdef STOCK
#define FACTOR 9
#else
#define FACTOR OLD_NEW(10, 20)
#endif

static noinline long scale(long x)
{
	return x * FACTOR;
}

long probe(void)
{
	return scale(HIDE(1));
}
