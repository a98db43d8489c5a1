/*
 * C++ in a library: virtual functions, exceptions and inline functions, all of which may be preempted.
 *
 * old: 13
 * new: 24
 * image: library
 */
#include <stdexcept>
#include "../case.h"

struct Base {
	virtual ~Base() {}
	virtual long value(long x);
};

noinline long Base::value(long x)
{
	if (x > 2)
		throw std::runtime_error(OLD_NEW("old", "new"));
	return x;
}

noinline inline long helper(long x)
{
	return x * OLD_NEW(3, 4);
}

noinline long catches(Base *b, long x)
{
	try {
		return b->value(x);
	} catch (const std::runtime_error &e) {
		return helper(x) + (e.what()[0] == 'n' ? OLD_NEW(-1, 12) : OLD_NEW(4, -1));
	}
}

static Base base;

long probe(void)
{
	return catches(HIDE(&base), HIDE(3));
}
