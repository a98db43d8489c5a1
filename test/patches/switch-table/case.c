/*
 * A switch with a jump table: the table is the function's, and moves with it.
 *
 * old: 28
 * new: 29
 * changes: choose
 */
#include "../case.h"

noinline long choose(long x, long y)
{
	switch (x) {
	case 0: return y + 7;
	case 1: return y * 3;
	case 2: return y - 9;
	case 3: return y / 7;
	case 4: return y ^ 99;
	case 5: return (y << 2) + OLD_NEW(0, 1);
	case 6: return y % 11;
	case 7: return -y;
	}
	return 0;
}

long probe(void)
{
	return choose(HIDE(5), HIDE(7));
}
