/*
 * Old code throws through new code, whose cleanups run, to old code.
 *
 * old: 11
 * new: 15
 * changes: _Z7throughPl
 */
#include "../case.h"

struct Cleanup {
	long *where;
	~Cleanup() { *where += OLD_NEW(10, 14); }
};

noinline void throws(long x)
{
	if (x)
		throw x;
}

noinline void through(long *p)
{
	Cleanup c = { p };

	throws(HIDE(1));
}

noinline long catches()
{
	long n = 0;

	try {
		through(&n);
	} catch (long x) {
		n += x;
	}
	return n;
}

long probe(void)
{
	return catches();
}
