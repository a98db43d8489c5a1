#include <stdio.h>
#include "v.h"
static int state = 4;
int work(int x)
{
	state += x;
	printf("%d\n", state);
	return state;
}
