/*
 * A bit-field moves within its word.
 *
 * refused: struct-layout-changed flags: the member added
 */
#include "../case.h"

struct flags {
	unsigned int a : 3;
#ifdef FIX
	unsigned int added : 1;
#endif
	unsigned int b : 4;
};

static struct flags flags;

noinline long get(struct flags *f)
{
	return f->b;
}

long probe(void)
{
	flags.b = 1;
	return get(HIDE(&flags));
}
