#include "../case.h"

noinline inline long share(long x)
{
	return x * 2 + OLD_NEW(0, 1);
}
