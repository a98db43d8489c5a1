/*
 * __func__ is data that belongs to the function; it is compared by content and carried along.
 *
 * old: 7
 * new: 8
 * changes: shout
 */
#include <string.h>
#include "../case.h"

noinline long shout(int loud)
{
	const char *name = HIDE(__func__);

	return strlen(name) + (loud ? OLD_NEW(2, 3) : 0);
}

noinline long whisper(void)
{
	return strlen(HIDE(__func__)) * 0;
}

long probe(void)
{
	return shout(HIDE(1)) + whisper();
}
