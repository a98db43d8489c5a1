/*
 * The fix uses a member that the clone did not get: the new clone takes other arguments, so the caller changes too.
 *
 * old: 30
 * new: 35
 */
#include "../case.h"

struct triple {
	long a, b, c;
};

static noinline long add(const struct triple *p)
{
	return HIDE(p->a) + p->b + OLD_NEW(0, p->c);
}

noinline long user(long x)
{
	struct triple p = { x, 2 * x, HIDE(5) };

	return add(&p);
}

long probe(void)
{
	return user(HIDE(10));
}
