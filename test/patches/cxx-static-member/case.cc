/*
 * A static member of a class and a constant of it.
 *
 * old: 13
 * new: 26
 */
#include "../case.h"

struct Config {
	static long limit;
	static constexpr long step = OLD_NEW(3, 16);
	noinline static long next()
	{
		return HIDE(limit) + step;
	}
};

long Config::limit = 10;

void setup(void)
{
	Config::limit = HIDE(10);
}

long probe(void)
{
	return Config::next();
}
