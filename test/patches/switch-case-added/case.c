/*
 * The jump table grows.
 *
 * old: 0
 * new: 49
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
	case 5: return y << 2;
	case 6: return y % 11;
#ifdef FIX
	case 7: return y * y;
#endif
	}
	return 0;
}

long probe(void)
{
	return choose(HIDE(7), HIDE(7));
}
