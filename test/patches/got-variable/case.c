/*
 * A global variable of the same library, which the program may preempt: by the word that the library's own code reads
 * (R_X86_64_REX_GOTPCRELX).
 *
 * old: 7
 * new: 14
 * changes: read_it
 * image: library
 */
#include "../case.h"

long shown = 7;

noinline long read_it(int i)
{
	return i ? shown * OLD_NEW(1, 2) : 0;
}

long probe(void)
{
	return read_it(HIDE(1));
}
