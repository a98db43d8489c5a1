/*
 * A virtual function of a second base is called by a thunk, which leads to the new code like everybody.
 *
 * old: 7
 * new: 8
 * changes: _ZN4Both1gEv
 */
#include "../case.h"

struct A {
	long a = 1;
	virtual ~A() {}
	virtual long f() { return a; }
};

struct B {
	long b = 2;
	virtual ~B() {}
	virtual long g() { return b; }
};

struct Both : A, B {
	long c = 4;
	noinline long g() override;
};

long Both::g()
{
	return a + b + c + OLD_NEW(0, 1);
}

static Both both;

long probe(void)
{
	B *b = HIDE(static_cast<B *>(&both));

	return b->g();
}
