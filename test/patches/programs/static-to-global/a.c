#include <stdio.h>
#include <stdlib.h>
void lp_apply(void);
#define NI __attribute__((noinline))
#ifndef NEW
static
#endif
int hits;
int total(void);
NI int hit(int by) { hits += by; return hits; }
int main(void)
{
	hit(50);
	lp_apply();
	hit(1);
	printf("%d\n", total());
	return 0;
}
