/*
 * A static program has no libraries, and of libc only what it needed.
 *
 * refused: import-static random
 * only: nopie
 * flags: -fno-builtin
 * link: -static
 */
#include <stdlib.h>
#include "../case.h"

long probe(void)
{
	return OLD_NEW(1, random());
}
