#include <stdio.h>
void lp_apply(void);
#define NI __attribute__((noinline))
/* The compiler removes what is read and never written, or written and never read. */
NI void f(unsigned a)
{
	if (a & 1) {
		static unsigned n;
#ifdef NEW
		if (n)
			puts("odd");
#else
		n += 2;
		printf("odd %u\n", n);
#endif
	}
	if (a & 2) {
		static unsigned n;
#ifdef NEW
		n += 3;
		printf("two %u\n", n);
#else
		if (n)
			puts("two");
#endif
	}
}
int main(void)
{
	f(1);
	f(1);
	lp_apply();
	f(2);
	return 0;
}
