/*
 * What is said of one structure says nothing of another one.
 *
 * refused: struct-layout-changed session: 16 bytes before, 24 now
 * options: --layout-ok request
 */
#include "../case.h"

struct session {
	long id;
#ifdef FIX
	long flags;
#endif
	long count;
};

struct request {
	long a;
#ifdef FIX
	long b;
#endif
};

noinline long get(struct session *s, struct request *r)
{
	return s->count + r->a + OLD_NEW(0, r->b);
}

long probe(void)
{
	struct session s = { .count = HIDE(1) };
	struct request r = { .a = HIDE(1) };

	return get(&s, &r);
}
