/*
 * A program at a fixed address can have a library's variable only as a copy, which the linker made when it was built.
 *
 * refused: import-data stderr: has no copy of this variable
 * only: nopie
 */
#include <stdio.h>
#include "../case.h"

noinline long report(long x)
{
#ifdef FIX
	if (x > 100)
		fputs("too much\n", stderr);
#endif
	return x;
}

long probe(void)
{
	return report(HIDE(1));
}
