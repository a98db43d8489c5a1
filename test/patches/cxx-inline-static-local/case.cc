/*
 * A static variable of an inline function that two files have: there is one of it, which new code goes on with.
 *
 * old: 82
 * new: 182
 */
#include "count.h"

void setup(void)
{
	count(HIDE(1));
	other(HIDE(1));
}

long probe(void)
{
	return count(HIDE(0)) + other(HIDE(0)) - OLD_NEW(2, 102);
}
