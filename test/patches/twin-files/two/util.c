#include "../../case.h"

long second_state = 100;

static noinline long helper(long x)
{
	return x + second_state;
}

long two(long x)
{
	return helper(x);
}
