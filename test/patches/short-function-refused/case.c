/*
 * Without padding the jump would overwrite the next function.
 *
 * refused: function-too-short tiny: change its caller instead
 * flags: -Os -fno-align-functions
 * only: gcc
 */
#include "../case.h"

noinline long tiny(long x)
{
	return x OLD_NEW(, + HIDE(1));
}

noinline long behind(long x)
{
	return x * 3;
}

long probe(void)
{
	return tiny(HIDE(1)) + 0 * behind(HIDE(1));
}
