/* Runs the unit, and lets test/patches/load/testdata/lpload.c apply a patch to this very process. */
#include <stdio.h>
#include <stdlib.h>
#include "unit.h"

void lp_apply(void) __attribute__((weak)); /* not in programs that are baked */

int main(void)
{
	input = &stdin;
	/* With FIRST the new code runs from the start, without it after a round of the old code. */
	if (!getenv("FIRST"))
		run(stderr);
	if (lp_apply)
		lp_apply();
	if (getenv("FIRST"))
		run(stdout);
	run(stdout);
	return 0;
}
