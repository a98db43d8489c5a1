/*
 * A buffer is to be aligned, and new code may count on it; the program's is where it is.
 *
 * refused: data-alignment-changed buffer
 */
#include "../case.h"

static char in_front[3] = "ab";
static char buffer[20] OLD_NEW(, __attribute__((aligned(4096)))) = "c";

noinline long get(int i)
{
	return *HIDE(&buffer[i]) + *HIDE(&in_front[i]) + OLD_NEW(0, 1);
}

noinline void put(int i, int c)
{
	buffer[i] = c;
	in_front[i] = c;
}

void setup(void)
{
	put(HIDE(1), 'b');
}

long probe(void)
{
	return get(HIDE(1));
}
