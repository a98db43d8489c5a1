/*
 * The program has the variable already, and may have changed it.
 *
 * refused: data-initialiser-changed limit: ask for the new value with --data
 */
#include "../case.h"

long limit = OLD_NEW(10, 20);

long probe(void)
{
	return limit;
}
