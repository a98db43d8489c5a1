/*
 * Two files of one name have static functions of the same name with the same code; their variables tell which is which.
 *
 * old: 111
 * new: 121
 */
#include "../case.h"

long one(long);
long two(long);

long probe(void)
{
	return one(HIDE(1)) + two(HIDE(1));
}
