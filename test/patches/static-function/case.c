/*
 * A static function that is called, not inlined: it alone is in the patch.
 *
 * old: 10
 * new: 20
 * changes: scale
 */
#include "../case.h"

static noinline long scale(long x)
{
	return x * OLD_NEW(10, 20);
}

long probe(void)
{
	return scale(HIDE(1));
}
