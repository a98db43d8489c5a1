/*
 * A new member: the program's objects have no room for it.
 *
 * refused: struct-layout-changed session: 16 bytes before, 24 now
 */
#include "../case.h"

struct session {
	long id;
#ifdef FIX
	long flags;
#endif
	long count;
};

static struct session session = { .id = 1, .count = 2 };

noinline long get(struct session *s)
{
	return s->count + OLD_NEW(0, s->flags);
}

long probe(void)
{
	return get(&(struct session){ .id = session.id });
}
