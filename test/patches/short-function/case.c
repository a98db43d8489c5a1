/*
 * The old function is shorter than the jump; there is padding behind it.
 *
 * old: 1
 * new: 2
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
