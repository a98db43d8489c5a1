#include <stdio.h>
#include <stdlib.h>
void lp_apply(void);
#define NI __attribute__((noinline))
NI int start(void)
{
#ifdef NEW
	static int started;
	if (started) return 100;
	started = 1;
	return 2;
#else
	static int done;
	if (done) return 1;
	done = 1;
	return 2;
#endif
}
int main(void)
{
	start();
	lp_apply();
	printf("%d\n", start());
	return 0;
}
