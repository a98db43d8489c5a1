/*
 * Vectors as arguments and results.
 *
 * old: 20
 * new: 30
 * changes: add
 */
#include "../case.h"

typedef long v2 __attribute__((vector_size(16)));

noinline v2 add(v2 a, v2 b)
{
	return a + b + (v2){ OLD_NEW(0, 4), OLD_NEW(0, 6) };
}

long probe(void)
{
	v2 r = add((v2){ HIDE(1L), 2 }, (v2){ 8, HIDE(9L) });

	return r[0] + r[1];
}
