/*
 * A function that neither the program nor its libraries have.
 *
 * refused: import-not-defined fixed_in_next_version
 */
#include "../case.h"

#ifdef FIX
long fixed_in_next_version(long);
#else
#define fixed_in_next_version(x) (x)
#endif

long probe(void)
{
	return fixed_in_next_version(HIDE(1));
}
