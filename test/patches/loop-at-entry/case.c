/*
 * The old code branches back to within the bytes that the jump takes: it is replaced when no thread is inside.
 *
 * old: 0
 * new: 1
 */
#include "../case.h"

noinline long spin(long n)
{
	do {
		__asm__ volatile("" : "+r"(n));
	} while (--n);
	return n + OLD_NEW(0, 1);
}

long probe(void)
{
	return spin(HIDE(20L));
}
