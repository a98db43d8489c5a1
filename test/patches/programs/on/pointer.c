/* Refused: the first patch gives out the address of its own code for a function that the second fix changes. */
#include <stdio.h>
void lp_apply(void);
void (*volatile handler)(int);
__attribute__((noinline)) void use(int n)
{
#ifdef FIX1
	handler = use;
	printf("first ");
#endif
#ifdef FIX2
	printf("second ");
#endif
	printf("%d\n", n);
}
int main(int argc, char **argv)
{
	lp_apply();
	use(argc);
	if (handler)
		handler(2);
	return 0;
}
