/* The first fix removes the first of two static variables of a name, and the second one uses the other one elsewhere, too. */
#include <stdio.h>
#ifdef __cplusplus
extern "C"
#endif
void lp_apply(void);
static inline __attribute__((always_inline)) int four(int n)
{
#ifndef FIX1
	{ static long count = 1000; count += n; n += count & 1; }
#endif
	{ static int count = 20; count += n; n += count; }
	return n;
}
__attribute__((noinline)) int f(int n) { return four(n); }
__attribute__((noinline)) int g(int n)
{
	n = n * 7 + 11;
#ifdef FIX2
	n = four(n);
#endif
	return n;
}
int (*volatile pf)(int) = f, (*volatile pg)(int) = g;
int main(int argc, char **argv)
{
	lp_apply();
	for (int i = 0; i < 3; i++)
		printf("%d %d\n", pf(argc), pg(argc));
	return 0;
}
