/*
 * The body of a member function.
 *
 * old: 11
 * new: 12
 */
#include "../case.h"

class Counter {
	long n = 10;
public:
	noinline long add(long x)
	{
		return n + x + OLD_NEW(0, 1);
	}
};

static Counter counter;

long probe(void)
{
	return HIDE(&counter)->add(HIDE(1));
}
