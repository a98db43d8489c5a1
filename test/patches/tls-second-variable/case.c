/*
 * New code uses another thread-local variable of the program than the old code did, in .tbss.
 *
 * old: 7
 * new: 9
 */
#include "../case.h"

static __thread long mine = 7;
__thread long zero[4];

noinline long read_it(int i)
{
#ifdef FIX
	zero[i] = 2;
	return mine + *(volatile long *)&zero[i];
#else
	return mine + i - i;
#endif
}

noinline void write_it(int i)
{
	zero[i] = i;
}

long probe(void)
{
	write_it(HIDE(3));
	return read_it(HIDE(2));
}
