/*
 * An interpreter that does not change, beside a function that does: its table of labels is what it was.
 *
 * old: 25
 * new: 35
 * changes: run_all
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
	x += 10;
	goto *labels[*++code];
stop:
	return x + 1;
}

static const unsigned char program[] = { 1, 1, 3, 2, 0 };

noinline long run_all(void)
{
	return run(HIDE(&program[0])) + OLD_NEW(0, 10);
}

long probe(void)
{
	return run_all();
}
