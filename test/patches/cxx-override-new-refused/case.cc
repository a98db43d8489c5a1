/*
 * A class overrides a function that it had from its base: its table would have to change.
 *
 * refused: class-changed _ZTV6Square
 */
#include "../case.h"

struct Shape {
	virtual ~Shape() {}
	virtual long area();
	long side = 4;
};

noinline long Shape::area()
{
	return side;
}

struct Square : Shape {
	virtual long edge();
#ifdef FIX
	long area() override;
#endif
};

noinline long Square::edge()
{
	return side + OLD_NEW(0, 1);
}

#ifdef FIX
noinline long Square::area()
{
	return side * side;
}
#endif

static Shape *shape;

void setup(void)
{
	shape = new Square;
}

long probe(void)
{
	return HIDE(shape)->area();
}
