/*
 * A new lambda expression in front of one that the program keeps, which gets another name.
 *
 * refused: closure-renumbered
 */
#include <functional>
#include "../case.h"

static std::function<long(long)> kept, added;

noinline void keep(long n)
{
#ifdef FIX
	added = [n](long x) { return HIDE(x) * 7 + n * 3; };
#endif
	kept = [n](long x) { return HIDE(x) * 10 + n; };
}

void setup(void)
{
	keep(HIDE(1));
}

long probe(void)
{
	keep(HIDE(1));
	return kept(HIDE(3)) + (added ? 1 : 0);
}
