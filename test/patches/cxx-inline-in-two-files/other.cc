#include "share.h"

long other(long x)
{
	return share(x);
}
