/*
 * A table grows: the program has room for the old one, and code elsewhere counts with its size.
 *
 * refused: data-size-changed table: put the addition into a new variable
 */
#include "../case.h"

long table[OLD_NEW(4, 8)] = { 1, 2, 3, 4 };

noinline long get(int i)
{
	return table[i % (int)(sizeof(table) / sizeof(table[0]))];
}

long probe(void)
{
	return get(HIDE(1));
}
