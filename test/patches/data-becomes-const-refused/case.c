/*
 * A variable becomes const, and would have to move to memory that nobody may write.
 *
 * refused: data-section-changed table: const or not
 */
#include "../case.h"

OLD_NEW(, const) long table[4] = { 1, 2, 3, 4 };

noinline long get(int i)
{
	return *HIDE(&table[i]);
}

long probe(void)
{
	return get(HIDE(1));
}
