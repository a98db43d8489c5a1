/* The first fix calls what the program does not import, the second one changes the same function, and calls it as well. */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
void lp_apply(void);
__attribute__((noinline)) static int find(const char *s)
{
	int n = strlen(s);
#ifdef FIX1
	n += strtol("17", NULL, 8) + (memmem(s, n, "b", 1) != NULL);
#endif
#ifdef FIX2
	n += strtol("100", NULL, 8) + !!strpbrk(s, "xyz");
#endif
	return n;
}
int main(int argc, char **argv)
{
	lp_apply();
	printf("%d\n", find(argv[0] + strlen(argv[0]) - 2));
	return 0;
}
