/*
 * A new class of exceptions, with its type information, derived from one that the program knows.
 *
 * old: 3
 * new: 42
 */
#include <stdexcept>
#include "../case.h"

#ifdef FIX
struct TooMuch : std::runtime_error {
	long by;
	explicit TooMuch(long n) : std::runtime_error("too much"), by(n) {}
};
#endif

noinline long check(long x)
{
#ifdef FIX
	try {
		if (x > 2)
			throw TooMuch(HIDE(x) + 39);
	} catch (const TooMuch &e) {
		return e.by;
	}
#endif
	return HIDE(x);
}

static volatile long sometimes;

noinline void other(long x)
{
	if (x)
		throw std::runtime_error("other");
}

long probe(void)
{
	try {
		other(sometimes);
	} catch (const std::runtime_error &) {
		return -1;
	}
	return check(HIDE(3));
}
