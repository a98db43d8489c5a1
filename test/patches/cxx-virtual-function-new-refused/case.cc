/*
 * A class gets another virtual function: the tables of the objects that exist have no place for it.
 *
 * refused: class-changed
 */
#include "../case.h"

struct Shape {
	virtual ~Shape() {}
	virtual long area();
#ifdef FIX
	virtual long edge();
#endif
	long side = 4;
};

noinline long Shape::area()
{
	return side * side + OLD_NEW(0, edge());
}

#ifdef FIX
noinline long Shape::edge()
{
	return side;
}
#endif

static Shape *shape;

void setup(void)
{
	shape = new Shape;
}

long probe(void)
{
	return HIDE(shape)->area();
}
