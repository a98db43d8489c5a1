#include <stdio.h>
#include "h.h"
static void __attribute__((noinline)) once(int i)
{
	int n = parse("abcdef,x") + turn(i + 1);
	n += other(i + 3);
	printf("%d %d\n", n, archived(i + 5));
}
int run(void)
{
	once(0);
	lp_apply();
	once(1);
	return 0;
}
