/*
 * The smallest fix there is.
 *
 * old: 1
 * new: 2
 * changes: probe
 */
#include "../case.h"

long probe(void)
{
	return OLD_NEW(1, 2);
}
