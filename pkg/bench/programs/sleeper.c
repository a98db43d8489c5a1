// SPDX-License-Identifier: GPL-2.0
/*
 * A program of one thread that maps a library: many processes of it are patched at once. A line on standard input
 * is answered with the value that the library gives, 1 as it is built and 2 with FIXED, which the patch is made of.
 * With LIBRARY it is the library.
 */
#include <stdio.h>

int value(void);

#ifdef LIBRARY
int value(void)
{
#ifdef FIXED
	return 2;
#else
	return 1;
#endif
}
#else
int main(void)
{
	while (getchar() != EOF) {
		printf("%d\n", value());
		fflush(stdout);
	}
	return 0;
}
#endif
