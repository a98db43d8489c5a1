/*
 * A new lambda expression behind those that there are.
 *
 * old: 31
 * new: 36
 */
#include "../case.h"

template <typename F> noinline long call(F f, long x)
{
	return f(x);
}

noinline long work(long n)
{
	long sum = call([n](long x) { return HIDE(x) * 10 + n; }, 3);

#ifdef FIX
	sum += call([n](long x) { return HIDE(x) + n; }, 4);
#endif
	return sum;
}

long probe(void)
{
	return work(HIDE(1));
}
