#include <stdio.h>
#ifdef __cplusplus
extern "C"
#endif
void lp_apply(void);
#define NI __attribute__((noinline))
NI void f(unsigned a)
{
#ifdef NEW
	if (a & 2) {
		static unsigned n;
		n += 10;
		printf("n %u\n", n);
	}
#endif
	if (a & 1) {
		static unsigned n;
		n += 10;
		printf("n %u\n", n);
	}
}
int main(void)
{
	f(1);
	lp_apply();
	f(2);
	f(1);
	return 0;
}
