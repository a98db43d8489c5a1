/*
 * The body of a virtual function, called by the table of the objects that exist.
 *
 * old: 12
 * new: 22
 * changes: _ZN6Square4areaEv
 */
#include "../case.h"

struct Shape {
	virtual ~Shape() {}
	virtual long area() = 0;
};

struct Square : Shape {
	long side;
	explicit Square(long s) : side(s) {}
	long area() override;
};

noinline long Square::area()
{
	return side * 3 + OLD_NEW(0, 10);
}

static Shape *shape;

void setup(void)
{
	shape = new Square(HIDE(4));
}

long probe(void)
{
	return HIDE(shape)->area();
}
