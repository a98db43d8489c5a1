/*
 * Two members of one size change places.
 *
 * refused: struct-layout-changed pair: its members are at other places
 */
#include "../case.h"

struct pair {
#ifdef FIX
	int second, first;
#else
	int first, second;
#endif
};

static struct pair pair = { .first = 1, .second = 1 };

noinline long get(struct pair *p)
{
	return p->first * 2 + p->second;
}

long probe(void)
{
	return get(HIDE(&pair));
}
