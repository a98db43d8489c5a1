#include <stdio.h>
#ifdef __cplusplus
extern "C"
#endif
void lp_apply(void);
#define NI __attribute__((noinline))
NI void warn(unsigned a)
{
	static unsigned once;
	if (!once) {
#ifndef NEW
		once = 1;
#endif
		printf("first %u\n", a);
	}
#ifdef NEW
	puts("warned");
#endif
}
int main(void)
{
	warn(1);
	lp_apply();
	warn(2);
	return 0;
}
