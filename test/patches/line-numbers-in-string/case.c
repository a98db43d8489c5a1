/*
 * "file.c:123" made by the preprocessor.
 *
 * nothing: line numbers in 1 functions
 */
#include <stdio.h>
#include "../case.h"

#define TEXT(x) #x
#define NUMBER(x) TEXT(x)
#define HERE __FILE__ ":" NUMBER(__LINE__)

#ifdef FIX
#line 321
#else
#line 123
#endif
noinline long report(long x)
{
	if (x > 100)
		puts(HERE);
	return x;
}

long probe(void)
{
	return report(HIDE(1));
}
