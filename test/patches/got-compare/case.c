/*
 * Addresses that are compared with and added to by an instruction (cmp, add with a GOT operand).
 *
 * old: 11
 * new: 12
 * changes: which
 * image: library
 */
#include "../case.h"

long first = 1, second = 2;

noinline long which(long *p)
{
	if (p == &first)
		return 10;
	if (p == &second)
		return OLD_NEW(1, 2);
	return 0;
}

long probe(void)
{
	return which(HIDE(&first)) + which(HIDE(&second));
}
