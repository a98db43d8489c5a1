/*
 * New data that wants to be aligned to a cache line.
 *
 * old: 1
 * new: 10
 * changes: probe
 */
#include "../case.h"

#ifdef FIX
static struct {
	long a[8];
} __attribute__((aligned(64))) added[2] = { { { 1, 2 } }, { { 3, 4 } } };
#endif

long probe(void)
{
#ifdef FIX
	return (unsigned long)HIDE(&added[0]) % 64 ? -1 : added[HIDE(0)].a[0] + added[HIDE(1)].a[1] + 5;
#else
	return 1;
#endif
}
