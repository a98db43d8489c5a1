#include "h.h"
static int total;
int __attribute__((noinline)) archived(int n)
{
	total += n;
	return total * 7 % 1000;
}
