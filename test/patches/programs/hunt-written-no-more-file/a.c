#include <stdio.h>
void lp_apply(void);
#define NI __attribute__((noinline))
static unsigned level = 3;
NI void set(unsigned a)
{
#ifdef NEW
	printf("level %u may not be set\n", a);
#else
	level = a;
#endif
}
NI void show(void)
{
	printf("level is %u\n", level);
}
int main(void)
{
	show();
	set(7);
	show();
	lp_apply();
	set(8);
	show();
	return 0;
}
