/*
 * A structure that is returned in memory, and one that is passed on the stack.
 *
 * old: 60
 * new: 70
 * changes: grow
 */
#include "../case.h"

struct big {
	long v[6];
};

noinline struct big grow(struct big b, long by)
{
	for (int i = 0; i < 6; i++)
		b.v[i] += by + OLD_NEW(0, (i == 3 ? 10 : 0));
	return b;
}

long probe(void)
{
	struct big b = grow((struct big){ { 0, 0, 0, 0, 0, 0 } }, HIDE(10));

	return b.v[0] + b.v[1] + b.v[2] + b.v[3] + b.v[4] + b.v[5];
}
