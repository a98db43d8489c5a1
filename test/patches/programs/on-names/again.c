/* The first fix removes a variable and a function, and the second one has others of these names. */
#include <stdio.h>
void lp_apply(void);
#ifndef FIX1
int counter = 5;
#elif defined FIX2
int counter = 100;
#endif
__attribute__((noinline)) static int f(int n)
{
#ifndef FIX1
	n += counter++;
#else
	n += 7;
#endif
#ifdef FIX2
	n += counter++;
#endif
	return n;
}
int main(int argc, char **argv)
{
	lp_apply();
	printf("%d\n", f(argc));
	printf("%d\n", f(argc));
	return 0;
}
