/*
 * An interpreter: a static table of labels within the function. It moves with the function.
 *
 * old: 25
 * new: 35
 * changes: run
 */
#include "../case.h"

noinline long run(const unsigned char *code)
{
	static const void *const labels[] = { &&stop, &&inc, &&twice, &&add };
	long x = 0;

	goto *labels[*code];
inc:
	x++;
	goto *labels[*++code];
twice:
	x *= 2;
	goto *labels[*++code];
add:
	x += OLD_NEW(10, 15);
	goto *labels[*++code];
stop:
	return x + 1;
}

static const unsigned char program[] = { 1, 1, 3, 2, 0 };

long probe(void)
{
	return run(HIDE(&program[0]));
}
