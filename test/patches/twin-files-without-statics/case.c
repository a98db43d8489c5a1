/*
 * Two files of one name without a static symbol: the program has one function of each name, so nothing is ambiguous.
 *
 * old: 11
 * new: 12
 * changes: one
 */
#include "../case.h"

long one(long);
long two(long);

long probe(void)
{
	return one(HIDE(1)) + two(HIDE(1));
}
