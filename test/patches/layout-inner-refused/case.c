/*
 * A structure within a structure changes: both are named.
 *
 * refused: struct-layout-changed inner: changed (8 bytes before, 16 now): the member b
 */
#include "../case.h"

struct inner {
	long a;
#ifdef FIX
	long b;
#endif
};

struct outer {
	struct inner in;
	long c;
};

noinline long get(struct outer *o)
{
	return o->c + o->in.a;
}

long probe(void)
{
	struct outer o = { .c = HIDE(1) };

	return get(&o);
}
