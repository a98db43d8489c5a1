#include "all.h"
void say(const char *what, unsigned value) { printf("%s %u\n", what, value); }
unsigned fuel, (*fp)(unsigned);
unsigned g0 = 21;
unsigned g1 = 178;
static void step(unsigned i)
{
	fuel = 5;
	try { say("f1", f1(i, i, i)); } catch (unsigned e) { say("caught", e); }
	say("g0", g0);
	say("g1", g1);
}
#include <pthread.h>
static void *other(void *arg)
{
	step(9);
	return arg;
}
int main(void)
{
	for (unsigned i = 0; i < 4; i++)
		step(i);
	lp_apply();
	for (unsigned i = 3; i < 8; i++)
		step(i);
	pthread_t thread;
	if (!pthread_create(&thread, 0, other, 0))
		pthread_join(thread, 0);
}
