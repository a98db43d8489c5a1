/*
 * Two virtual functions with the same code, which may be one: addresses of members need not differ.
 *
 * refused: shared-code _ZN1A5firstEl: for _ZN1A6secondEl
 * only: gcc
 */
#include "../case.h"

struct A {
	virtual ~A() {}
	virtual long first(long x);
	virtual long second(long x);
};

long A::first(long x)
{
	return x * 3 + (x + 5) % 7 + OLD_NEW(0, 1);
}

long A::second(long x)
{
	return x * 3 + (x + 5) % 7;
}

static A *a;

void setup(void)
{
	a = new A;
}

long probe(void)
{
	return HIDE(a)->first(HIDE(10)) + HIDE(a)->second(HIDE(10));
}
