/*
 * An inline variable, of which the linker keeps one.
 *
 * old: 42
 * new: 142
 */
#include "../case.h"

inline long setting = 40;

noinline long get(long up)
{
	setting += up;
	return HIDE(setting) + OLD_NEW(0, 100);
}

void setup(void)
{
	get(2);
}

long probe(void)
{
	return get(HIDE(0));
}
