#ifdef FIX
#include "../case.h"

static long state = 7;
static const char *const names[] = { "a", "d" };

long from_new_file(long x)
{
	return HIDE(state) + names[HIDE(x)][0] + x;
}
#endif
