/*
 * A value in front of others of an enumeration: all functions that name them change, and no one sees half of it.
 *
 * old: 21
 * new: 22
 * changes: kind name probe
 */
#include "../case.h"

enum kind {
	KIND_A,
#ifdef FIX
	KIND_NEW,
#endif
	KIND_B,
};

noinline enum kind kind(long x)
{
	return x > 5 ? KIND_B : KIND_A;
}

noinline long name(enum kind k)
{
	return k == KIND_B ? 20 : 10;
}

long probe(void)
{
	enum kind k = kind(HIDE(7));

	return name(k) + (long)k + 0 * OLD_NEW(HIDE(1), HIDE(2));
}
