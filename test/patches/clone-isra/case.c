/*
 * gcc passes the members of the structure instead of its address (.isra). The clone changes; its caller does not.
 *
 * old: 30
 * new: 31
 */
#include "../case.h"

struct pair {
	long a, b;
};

static noinline long add(const struct pair *p)
{
	return HIDE(p->a) + p->b + OLD_NEW(0, 1);
}

noinline long user(long x)
{
	struct pair p = { x, 2 * x };

	return add(&p);
}

long probe(void)
{
	return user(HIDE(10));
}
