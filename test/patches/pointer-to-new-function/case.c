/*
 * New code keeps a pointer to a new function in an old variable and calls it from there.
 *
 * old: 2
 * new: 30
 * changes: probe
 */
#include "../case.h"

static noinline long plain(long x)
{
	return x + 1;
}

#ifdef FIX
static noinline long better(long x)
{
	return x + 29;
}
#endif

long (*volatile handler)(long) = plain;

long probe(void)
{
#ifdef FIX
	long (*was)(long) = handler, got;

	handler = better;
	got = handler(HIDE(1));
	handler = was == better ? plain : was;
	return got == 2 ? 30 : got; /* another thread may have put back the old one */
#else
	return handler(HIDE(1));
#endif
}
