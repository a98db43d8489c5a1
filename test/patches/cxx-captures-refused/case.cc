/*
 * A lambda expression that the program keeps captures more.
 *
 * refused: struct-layout-changed <lambda>: what a lambda expression captures changed
 */
#include <functional>
#include "../case.h"

static std::function<long(long)> kept;

noinline void keep(long n, long m)
{
#ifdef FIX
	kept = [n, m](long x) { return HIDE(x) * 10 + n + m; };
#else
	kept = [n](long x) { return HIDE(x) * 10 + n; };
	(void)m;
#endif
}

void setup(void)
{
	keep(HIDE(1), HIDE(2));
}

long probe(void)
{
	return kept(HIDE(3));
}
