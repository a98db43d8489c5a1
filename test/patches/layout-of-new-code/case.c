/*
 * A new structure, and one that only new functions use.
 *
 * old: 3
 * new: 6
 * changes: probe
 */
#include "../case.h"

#ifdef FIX
struct added {
	long a, b;
};

static noinline long total(struct added *p)
{
	return p->a + p->b;
}
#endif

long probe(void)
{
#ifdef FIX
	struct added p = { HIDE(2), HIDE(4) };

	return total(&p);
#else
	return HIDE(3);
#endif
}
