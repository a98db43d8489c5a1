/*
 * Objects without a section for each function.
 *
 * refused: not-function-sections scale: compile old and new with -ffunction-sections -fdata-sections
 * flags: -fno-function-sections
 */
#include "../case.h"

static noinline long scale(long x)
{
	return HIDE(x) * OLD_NEW(10, 20);
}

long probe(void)
{
	return HIDE(scale(HIDE(1)));
}
