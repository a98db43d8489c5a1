#include <stdio.h>
#include "h.h"
static int calls = 100;
static struct point at = { 1, 2 };
static int __attribute__((noinline)) counter(int n)
{
	static int seen;
	seen += n;
	at.x += seen;
	return ++calls + seen + at.x;
}
static int __attribute__((noinline)) step(int n)
{
	return counter(n) * 2 + counter(n + 1);
}
int turn(int n)
{
	printf("one %d ", step(n));
	return calls;
}
