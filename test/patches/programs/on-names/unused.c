/* The first fix removes a static variable, and adds a function that nothing calls yet, with another one of that name. */
#include <stdio.h>
void lp_apply(void);
__attribute__((noinline)) int f(int n)
{
#ifndef FIX1
	static int count = 5;
	n += count++;
#endif
	return n;
}
#ifdef FIX1
__attribute__((noinline)) int h(int n) { static int count = 100; return n + count++; }
#endif
__attribute__((noinline)) int g(int n)
{
	n = n * 7 + 11;
#ifdef FIX2
	n += h(n);
#endif
	return n;
}
int (*volatile pf)(int) = f, (*volatile pg)(int) = g;
int main(int argc, char **argv)
{
	lp_apply();
	printf("%d %d\n", pf(argc), pg(argc));
	return 0;
}
