/*
 * The fix adds a handler, for a type that has none in the program.
 *
 * old: 20
 * new: 7
 */
#include "../case.h"

struct Error {
	long code;
};

struct Other {
	long code;
};

noinline void throws(long x)
{
	if (x == 1)
		throw Error{ 7 };
	if (x == 2)
		throw Other{ 8 };
}

noinline long middle(long x)
{
#ifdef FIX
	try {
#endif
		throws(x);
#ifdef FIX
	} catch (const Error &e) {
		return e.code;
	}
#endif
	return 0;
}

noinline long outer(long x)
{
	try {
		return middle(x);
	} catch (...) {
		return 20;
	}
}

long probe(void)
{
	return outer(HIDE(1));
}
