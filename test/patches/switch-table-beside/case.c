/*
 * A function with a jump table does not change; one in front of it gets one, which moves the old table in the object.
 *
 * old: 12
 * new: 13
 */
#include "../case.h"

noinline long choose(long x, long y)
{
#ifdef FIX
	switch (x) {
	case 0: return y + 7;
	case 1: return y * 3;
	case 2: return y + 8;
	case 3: return y / 7;
	case 4: return y ^ 99;
	case 5: return y % 11;
	}
#else
	if (x == 2)
		return y + 7;
#endif
	return 0;
}

noinline long other(long x, long y)
{
	switch (x) {
	case 0: return y + 7;
	case 1: return y * 3;
	case 2: return y - 9;
	case 3: return y / 7;
	case 4: return y ^ 99;
	case 5: return y % 11;
	}
	return 0;
}

long probe(void)
{
	return choose(HIDE(2), HIDE(5)) + other(HIDE(3), HIDE(5));
}
