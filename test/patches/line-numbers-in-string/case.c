/*
 * "file.c:123" made by the preprocessor.
 *
 * old: 54
 * new: 51
 * changes: report
 */
#include "../case.h"

#define TEXT(x) #x
#define NUMBER(x) TEXT(x)
#define HERE __FILE__ ":" NUMBER(__LINE__)

#ifdef FIX
#line 318
#else
#line 123
#endif
noinline long report(long x)
{
	return HERE[sizeof(HERE) - 1 - x];
}

long probe(void)
{
	return report(HIDE(1));
}
