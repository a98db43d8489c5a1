/* Refused: both fixes change the value of one variable. */
#include <stdio.h>
void lp_apply(void);
#ifdef FIX2
int size = 300;
#elif defined FIX1
int size = 200;
#else
int size = 100;
#endif
__attribute__((noinline)) static int use(int n)
{
#ifdef FIX1
	n += 3;
#endif
	return n + size;
}
int main(int argc, char **argv)
{
	lp_apply();
	printf("%d\n", use(argc));
	return 0;
}
