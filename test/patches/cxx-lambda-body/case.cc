/*
 * The body of a lambda expression, called by a std::function that the program keeps.
 *
 * old: 31
 * new: 32
 */
#include <functional>
#include "../case.h"

static std::function<long(long)> kept;

noinline void keep(long n)
{
	kept = [n](long x) { return HIDE(x) * 10 + n + OLD_NEW(0, 1); };
}

void setup(void)
{
	keep(HIDE(1));
}

long probe(void)
{
	return kept(HIDE(3));
}
