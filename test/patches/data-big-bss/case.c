/*
 * New code brings a large buffer of zeros, which takes no room in the patch file.
 *
 * old: 1
 * new: 9
 * changes: probe
 */
#include "../case.h"

#ifdef FIX
static char buffer[1 << 20];
#endif

long probe(void)
{
#ifdef FIX
	char *last = HIDE(&buffer[sizeof(buffer) - 1]);

	*last = 9;
	return *last + buffer[HIDE(0)];
#else
	return 1;
#endif
}
