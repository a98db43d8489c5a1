/*
 * An inline function of a header, of which each file has an instance: the one that the linker kept is replaced, once.
 *
 * old: 24
 * new: 26
 * between: 25
 * changes: _Z5sharel
 */
#include "share.h"

long other(long x);

long probe(void)
{
	return share(HIDE(2)) + other(HIDE(10));
}
