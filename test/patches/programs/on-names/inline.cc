// The first fix changes an inline function that is not called any more then, and the second one calls it.
#include <cstdio>
extern "C" void lp_apply(void);
__attribute__((noinline)) inline int helper(int n)
{
#ifdef FIX1
	return n + 1000;
#else
	return n;
#endif
}
__attribute__((noinline)) int f(int n)
{
#ifndef FIX1
	n = helper(n);
#else
	n++;
#endif
	return n;
}
__attribute__((noinline)) int g(int n)
{
	n = n * 7 + 11;
#ifdef FIX2
	n = helper(n);
#endif
	return n;
}
int (*volatile pf)(int) = f, (*volatile pg)(int) = g;
int main(int argc, char **)
{
	lp_apply();
	std::printf("%d %d\n", pf(argc), pg(argc));
}
