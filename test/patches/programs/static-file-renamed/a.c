#include <stdio.h>
#include <stdlib.h>
void lp_apply(void);
#define NI __attribute__((noinline))
#ifdef NEW
static int hits_total;
#define hits hits_total
#else
static int hits;
#endif
NI int hit(int by) { hits += by; 
#ifdef NEW
	if (hits > 1000) hits = 0;
#endif
	return hits; }
int main(void)
{
	hit(50);
	lp_apply();
	printf("%d\n", hit(1));
	return 0;
}
