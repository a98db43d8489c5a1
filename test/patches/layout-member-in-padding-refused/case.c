/*
 * A new member in the padding: the size is the same, but what is in that place of the program's objects is nobody's.
 *
 * refused: struct-layout-changed session: the member flags
 */
#include "../case.h"

struct session {
	int id;
#ifdef FIX
	int flags;
#endif
	long count;
};

noinline long get(struct session *s)
{
	return s->count + OLD_NEW(0, s->flags);
}

static struct session session = { .id = 1, .count = 2 };

long probe(void)
{
	return get(HIDE(&session));
}
