/*
 * What was zero at the start is to begin with something else.
 *
 * refused: data-initialiser-changed limit: ask for the new value with --data
 */
#include "../case.h"

long limit OLD_NEW(, = 20);

long probe(void)
{
	return HIDE(limit);
}
