/*
 * A class gets another base.
 *
 * refused: struct-layout-changed Square
 */
#include "../case.h"

struct Base {
	long b = 1;
};

struct Square OLD_NEW(, : Base) {
	long side;
};

noinline long area(Square *s)
{
	return s->side * s->side;
}

long probe(void)
{
	Square s;

	s.side = HIDE(4);
	return area(&s);
}
