/*
 * A version that comes from the command line: what prints it changes, and is in the patch.
 *
 * old: 49
 * new: 50
 */
#include "../case.h"

#define VERSION OLD_NEW("1", "2")

noinline const char *version(void)
{
	return "version " VERSION;
}

long probe(void)
{
	return version()[8];
}
