/*
 * errno, which libc finds for each thread.
 *
 * old: 33
 * new: 34
 * changes: last_error
 */
#include <errno.h>
#include "../case.h"

noinline long last_error(int set)
{
	if (set)
		errno = OLD_NEW(33, 34);
	return errno;
}

long probe(void)
{
	return last_error(HIDE(1));
}
