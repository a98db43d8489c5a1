/*
 * The same initial value with --data: the variable is overwritten where the program has not changed it.
 *
 * old: 10
 * new: 20
 * options: --data
 */
#include "../case.h"

long limit = OLD_NEW(10, 20);

long probe(void)
{
	return *HIDE(&limit);
}
