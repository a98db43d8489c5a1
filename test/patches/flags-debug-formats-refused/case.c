/*
 * Debug information of another version, compressed, with macros: the layouts of structures are read from it.
 *
 * refused: struct-layout-changed session: 16 bytes before, 24 now
 * flags: -gdwarf-4 -g3 -gz
 */
#include "../case.h"

struct session {
	long id;
#ifdef FIX
	long flags;
#endif
	long count;
};

noinline long get(struct session *s)
{
	return s->count + OLD_NEW(0, s->flags);
}

long probe(void)
{
	struct session s = { .count = HIDE(1) };

	return get(&s);
}
