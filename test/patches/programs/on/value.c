/* With --data: the first fix changes a value, the second one a function that reads it, and another value. */
#include <stdio.h>
void lp_apply(void);
#ifdef FIX1
int size = 200;
#else
int size = 100;
#endif
#ifdef FIX2
int other = 5;
#else
int other = 4;
#endif
__attribute__((noinline)) static int use(int n)
{
#ifdef FIX1
	n += 3;
#endif
#ifdef FIX2
	n *= 2;
#endif
	return n + size * other;
}
int main(int argc, char **argv)
{
	lp_apply();
	printf("%d\n", use(argc));
	return 0;
}
