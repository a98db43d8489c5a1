#include <stdio.h>
#include "h.h"
static int calls = 500;
static struct point at = { 7, 8 };
static int __attribute__((noinline)) counter(int n)
{
	static int seen = 3;
	seen += n;
	at.y += seen;
	return ++calls - seen + at.y;
}
static int __attribute__((noinline)) step(int n)
{
	return counter(n) * 3 + counter(n + 2);
}
static int (*volatile stepper)(int);
int other(int n)
{
	if (!stepper)
		stepper = step;
	printf("two %d ", stepper(n));
	return calls;
}
