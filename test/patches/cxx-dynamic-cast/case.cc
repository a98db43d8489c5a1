/*
 * New code asks for the type of an object that old code has made: the type information of the program counts.
 *
 * old: 1
 * new: 18
 */
#include <typeinfo>
#include "../case.h"

struct Shape {
	virtual ~Shape() {}
};

struct Square : Shape {
	long side = 9;
};

static Shape *shape;

void setup(void)
{
	shape = new Square;
}

noinline long measure(Shape *s)
{
#ifdef FIX
	Square *q = dynamic_cast<Square *>(s);

	return q ? q->side + 8 + (typeid(*s) == typeid(Square)) : -1;
#else
	return s ? 1 : 0;
#endif
}

long probe(void)
{
	return measure(HIDE(shape));
}
