#include "../../case.h"

long two(long x)
{
	return x * 10;
}
