/*
 * A variable in a section of its own, as "read mostly" data are.
 *
 * old: 5
 * new: 10
 * changes: read_it
 */
#include "../case.h"

static long mostly __attribute__((section(".data.read_mostly"))) = 5;

noinline long read_it(void)
{
	return *(volatile long *)&mostly * OLD_NEW(1, 2);
}

long probe(void)
{
	return read_it();
}
