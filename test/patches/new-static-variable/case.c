/*
 * The fix adds static variables, with and without an initial value: they live in the patch.
 *
 * old: 1
 * new: 108
 * changes: probe
 */
#include "../case.h"

#ifdef FIX
static long added_data = 100, added_bss;
#endif

long probe(void)
{
#ifdef FIX
	__atomic_fetch_or(&added_bss, 8, __ATOMIC_RELAXED);
	return *(volatile long *)&added_data + *(volatile long *)&added_bss;
#else
	return 1;
#endif
}
