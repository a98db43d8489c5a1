#include "../../case.h"

static noinline long helper(long x)
{
	return x * 7;
}

long (*two)(long) = helper;
