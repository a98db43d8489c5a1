/*
 * The fix adds a source file with functions, data and strings.
 *
 * old: 1
 * new: 108
 * changes: probe
 */
#include "../case.h"

long from_new_file(long);

long probe(void)
{
	return OLD_NEW(1, from_new_file(HIDE(1)));
}
