#include "../../case.h"

long first_state = 9;

static noinline long helper(long x)
{
	return x + first_state + OLD_NEW(0, 10);
}

long one(long x)
{
	return helper(x);
}
