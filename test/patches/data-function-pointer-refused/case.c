/*
 * Another function in a table of operations that the program has.
 *
 * refused: data-pointer-changed operations: differs in a pointer
 */
#include "../case.h"

struct operations {
	long (*open)(long), (*close)(long);
};

static noinline long first(long x)
{
	return x + 1;
}

static noinline long second(long x)
{
	return x + 2;
}

struct operations operations = { first, OLD_NEW(first, second) };

long probe(void)
{
	return operations.open(HIDE(1)) + operations.close(HIDE(1)) + 0 * second(HIDE(1));
}
