/*
 * A new table of strings and of addresses of old data.
 *
 * old: 1
 * new: 197
 * changes: probe
 */
#include "../case.h"

long known[4] = { 1, 2, 3, 100 };

#ifdef FIX
static const char *const names[] = { "apple", "b" };
static long *const places[] = { &known[0], &known[3] };
#endif

long probe(void)
{
#ifdef FIX
	return names[HIDE(0)][0] + *places[HIDE(1)];
#else
	return known[HIDE(0)];
#endif
}
