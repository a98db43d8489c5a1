/*
 * std::cout is a variable of libstdc++, of which the program has a copy, or which it reaches by its GOT.
 *
 * old: 1
 * new: 2
 */
#include <iostream>
#include "../case.h"

noinline long good(std::ostream *s)
{
	return (s == &std::cout && s->good()) * OLD_NEW(1, 2);
}

long probe(void)
{
	return good(HIDE(&std::cout));
}
