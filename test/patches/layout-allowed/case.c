/*
 * The structure lives on the stack of the changed functions only, and its author says so.
 *
 * old: 3
 * new: 7
 * options: --layout-ok request
 */
#include "../case.h"

struct request {
	long a, b;
#ifdef FIX
	long limit;
#endif
};

static noinline long check(struct request *r)
{
	return r->a + r->b + OLD_NEW(0, r->limit);
}

noinline long handle(long a)
{
	struct request r = { .a = a, .b = HIDE(2) };

#ifdef FIX
	r.limit = HIDE(4);
#endif
	return check(&r);
}

long probe(void)
{
	return handle(HIDE(1));
}
