/*
 * A member becomes wider, into the padding behind it.
 *
 * refused: struct-layout-changed counter: is of type long
 */
#include "../case.h"

struct counter {
	OLD_NEW(int, long) value;
	long *where;
};

static struct counter counter = { .value = 0 };

noinline long get(struct counter *c)
{
	return c->value + 1;
}

long probe(void)
{
	return get(HIDE(&counter));
}
