/*
 * An array in a structure becomes longer.
 *
 * refused: struct-layout-changed name: 24 bytes before, 40 now
 */
#include "../case.h"

struct name {
	char text[OLD_NEW(16, 32)];
	long length;
};

noinline long get(struct name *n)
{
	return n->length + n->text[0];
}

long probe(void)
{
	struct name name = { .length = 3 };

	return get(HIDE(&name));
}
