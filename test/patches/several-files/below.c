#include "../case.h"

static long kept = 10;

noinline long below(long x)
{
	return x * HIDE(kept);
}

#ifdef FIX
long added(long x)
{
	return below(x) + 30 * x;
}
#endif
