/*
 * A function with a variable number of arguments, which needs the number of vector registers in al.
 *
 * old: 10
 * new: 20
 * changes: sum
 */
#include <stdarg.h>
#include "../case.h"

noinline long sum(int n, ...)
{
	double total = 0;
	va_list args;

	va_start(args, n);
	while (n--)
		total += va_arg(args, double);
	va_end(args);
	return (long)total * OLD_NEW(1, 2);
}

long probe(void)
{
	return sum(HIDE(4), 1.0, 2.0, 3.0, 4.0);
}
