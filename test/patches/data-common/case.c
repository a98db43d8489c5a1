/*
 * Variables without an initial value that several files may share (-fcommon).
 *
 * old: 5
 * new: 6
 * changes: get
 * flags: -fcommon
 */
#include "../case.h"

long shared;

noinline long get(void)
{
	return HIDE(shared) + OLD_NEW(0, 1);
}

void setup(void)
{
	shared = 5;
}

long probe(void)
{
	return get();
}
