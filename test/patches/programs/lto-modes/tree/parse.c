#include <stdio.h>
#include "h.h"
int parse(const char *s)
{
	char out[64];
	int n = copy_field(s, out, 4);
	printf("%s ", out);
	return n;
}
