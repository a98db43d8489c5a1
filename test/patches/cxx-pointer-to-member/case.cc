/*
 * A pointer to a member function that the program keeps.
 *
 * old: 5
 * new: 15
 */
#include "../case.h"

struct Thing {
	long n = 4;
	noinline long get(long x);
};

long Thing::get(long x)
{
	return n + x + OLD_NEW(0, 10);
}

static Thing thing;
static long (Thing::*volatile kept)(long);

void setup(void)
{
	kept = &Thing::get;
}

long probe(void)
{
	long (Thing::*f)(long) = kept;

	return (thing.*f)(HIDE(1));
}
