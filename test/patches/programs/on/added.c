/* Refused: the second fix changes a function that only the first patch has. */
#include <stdio.h>
void lp_apply(void);
#ifdef FIX1
__attribute__((noinline)) static int helper(int n)
{
#ifdef FIX2
	return n * 7 + 1;
#else
	return n * 7;
#endif
}
#endif
__attribute__((noinline)) static int use(int n)
{
#ifdef FIX1
	n = helper(n);
#endif
	printf("use ");
	return n;
}
int main(int argc, char **argv)
{
	lp_apply();
	printf("%d\n", use(argc));
	return 0;
}
