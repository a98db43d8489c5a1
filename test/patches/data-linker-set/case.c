/*
 * Members of a set that the linker collects between __start_ and __stop_; code that walks it changes.
 *
 * old: 3
 * new: 30
 * changes: walk
 */
#include "../case.h"

static long first __attribute__((section("numbers"), used)) = 1;
static long second __attribute__((section("numbers"), used)) = 2;
extern long __start_numbers[], __stop_numbers[];

noinline long walk(void)
{
	long sum = 0;

	for (long *p = __start_numbers; p < __stop_numbers; p++)
		sum += *(volatile long *)p;
	return sum * OLD_NEW(1, 10);
}

long probe(void)
{
	return walk();
}
