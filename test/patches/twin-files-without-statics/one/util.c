#include "../../case.h"

long one(long x)
{
	return x + OLD_NEW(0, 1);
}
