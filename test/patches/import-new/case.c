/*
 * New code calls a function of a library that the program does not import.
 *
 * old: 12
 * new: 3
 * changes: probe
 */
#include <stdlib.h>
#include "../case.h"

long probe(void)
{
	return OLD_NEW(HIDE(12), labs(HIDE(-3)) + strtol("0", NULL, 10));
}
