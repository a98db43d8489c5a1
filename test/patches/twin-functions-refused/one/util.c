#include "../../case.h"

static noinline long helper(long x)
{
	return x * 7 + OLD_NEW(0, 1);
}

long (*one)(long) = helper;
