#include "h.h"
int copy_field(const char *s, char *out, int max)
{
	int i = 0;
	while (s[i] && s[i] != ',') {
		out[i] = s[i] == '\t' ? ' ' : s[i] == '\r' ? '\n' : s[i];
		i++;
	}
	out[i] = 0;
	return i;
}
