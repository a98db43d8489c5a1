/*
 * Constants of floating-point code, of 4, 8 and 16 bytes.
 *
 * old: 250
 * new: 350
 * changes: scale
 */
#include "../case.h"

noinline long scale(float f, double d, long double l)
{
	return (long)(f * 0.5f + d * OLD_NEW(1.5, 2.5) + l * 0.5L);
}

long probe(void)
{
	return scale(HIDE(100L), HIDE(100L), HIDE(100L));
}
