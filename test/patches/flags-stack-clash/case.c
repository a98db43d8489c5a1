/*
 * Frames of more than a page, which are probed.
 *
 * old: 5
 * new: 6
 * changes: big
 * flags: -fstack-clash-protection
 */
#include "../case.h"

noinline long big(long x)
{
	volatile char v[20000];

	v[0] = x;
	v[19999] = 4;
	return v[0] + v[19999] + OLD_NEW(0, 1);
}

long probe(void)
{
	return big(HIDE(1));
}
