#include "all.h"
void say(const char *what, unsigned value) { printf("%s %u\n", what, value); }
unsigned fuel, (*fp)(unsigned);
unsigned g0 = 46;
unsigned g1 = 112;
unsigned (*to_f2)(unsigned p0, unsigned p1, unsigned p2) = f2;
static void step(unsigned i)
{
	fuel = 5;
	say("to_f2", to_f2(i, i, i));
	say("g0", g0);
	say("g1", g1);
}
int main(void)
{
	for (unsigned i = 0; i < 4; i++)
		step(i);
	lp_apply();
	for (unsigned i = 3; i < 8; i++)
		step(i);
}
