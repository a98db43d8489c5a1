/*
 * A constant becomes a variable, which new code would write to where the program cannot.
 *
 * refused: data-section-changed table: const or not
 */
#include "../case.h"

OLD_NEW(const, ) long table[4] = { 1, 2, 3, 4 };

noinline long get(int i)
{
#ifdef FIX
	table[i]++;
#endif
	return *HIDE(&table[i]);
}

long probe(void)
{
	return get(HIDE(1));
}
