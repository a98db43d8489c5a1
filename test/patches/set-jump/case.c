/*
 * setjmp() in new code, longjmp() from old code below it.
 *
 * old: 5
 * new: 15
 * changes: guarded
 */
#include <setjmp.h>
#include "../case.h"

noinline void fail(jmp_buf *buf, int n)
{
	longjmp(*buf, n);
}

noinline long guarded(int n)
{
	jmp_buf buf;
	int got = setjmp(buf);

	if (!got)
		fail(&buf, n);
	return got + OLD_NEW(0, 10);
}

long probe(void)
{
	return guarded(HIDE(5));
}
