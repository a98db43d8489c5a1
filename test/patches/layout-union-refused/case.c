/*
 * A union grows.
 *
 * refused: struct-layout-changed value: 8 bytes before, 16 now
 */
#include "../case.h"

union value {
	long number;
#ifdef FIX
	long pair[2];
#endif
};

noinline long get(union value *v)
{
	return v->number + OLD_NEW(0, v->pair[0]);
}

long probe(void)
{
	union value v = { .number = HIDE(1) };

	return get(&v);
}
