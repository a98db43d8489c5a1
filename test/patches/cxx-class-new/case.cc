/*
 * A new class with virtual functions, derived from one that the program has.
 *
 * old: 4
 * new: 16
 */
#include "../case.h"

struct Shape {
	long side;
	explicit Shape(long s) : side(s) {}
	virtual ~Shape() {}
	virtual long area();
};

noinline long Shape::area()
{
	return side;
}

#ifdef FIX
struct Square : Shape {
	using Shape::Shape;
	long area() override { return side * side; }
};
#endif

noinline long measure(Shape *s)
{
	return s->area();
}

noinline long make(long side)
{
	OLD_NEW(Shape, Square) s(side);

	return measure(HIDE(&s));
}

long probe(void)
{
	return make(HIDE(4));
}
