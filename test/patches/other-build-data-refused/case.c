/*
 * The program was built with another table, from which its code reads.
 *
 * refused: target-differs
 * options: --data
 */
#include "../case.h"

#ifdef STOCK
#define FIRST 9
#else
#define FIRST 1
#endif

long table[2] = { FIRST, OLD_NEW(2, 3) };

noinline long get(int i)
{
	return *HIDE(&table[i]);
}

long probe(void)
{
	return get(HIDE(1));
}
