#include "../case.h"

long unrelated(long x)
{
	return x * 9;
}

#ifdef FIX
long helper(long x)
{
	return x * 3;
}
#endif
