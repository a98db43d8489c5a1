/*
 * Ten integers and ten floating-point numbers: registers and the stack.
 *
 * old: 110
 * new: 220
 * changes: sum
 */
#include "../case.h"

noinline long sum(long a, long b, long c, long d, long e, long f, long g, long h, long i, long j,
		  double k, double l, double m, double n, double o, double p, double q, double r, double s, double t)
{
	return (a + b + c + d + e + f + g + h + i + j + (long)(k + l + m + n + o + p + q + r + s + t)) * OLD_NEW(1, 2);
}

long probe(void)
{
	return sum(HIDE(1), 2, 3, 4, 5, 6, 7, 8, 9, 10, HIDE(1), 2, 3, 4, 5, 6, 7, 8, 9, 10);
}
