#include "count.h"

long other(long up)
{
	return count(up);
}
