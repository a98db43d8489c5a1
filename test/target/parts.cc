// SPDX-License-Identifier: GPL-2.0
/*
 * The functions of soak.cc that are patched. VERSION selects the version: SEVERAL changes tally(), left() and right(),
 * which belong together, LONE changes lone() alone, and THIRD changes all four again.
 */
#include "parts.h"

#define OLD 1
#define SEVERAL 2
#define LONE 3
#define THIRD 4

#if VERSION == SEVERAL || VERSION == THIRD
/* What a patch adds: a table of addresses, and a variable. */
static const char *const marks[] = { "old", "several", "third" };
static long taken;

__attribute__((noipa)) static long mark(const char *name)
{
	taken++;
	for (long i = 0; i < 3; i++)
		if (marks[i][0] == name[0])
			return i + 1;
	return -1000;
}
#endif

__attribute__((noipa)) long left(long x)
{
#if VERSION == SEVERAL
	return 3 * x + mark("several");
#elif VERSION == THIRD
	return 3 * x + mark("third");
#else
	return 3 * x + 1;
#endif
}

__attribute__((noipa)) long right(long x)
{
#if VERSION == SEVERAL
	return 5 * x + mark("several");
#elif VERSION == THIRD
	return 5 * x + mark("third");
#else
	return 5 * x + 1;
#endif
}

__attribute__((noipa)) long tally(long x, void (*between)(void))
{
	long l = left(x);

	between();
#if VERSION == SEVERAL
	return 11 * l + right(x);
#elif VERSION == THIRD
	return 13 * l + right(x);
#else
	return 7 * l + right(x);
#endif
}

__attribute__((noipa)) long lone(long x)
{
#if VERSION == LONE
	return 4 * x + 2;
#elif VERSION == THIRD
	return 4 * x + mark("third");
#else
	return 4 * x + 1;
#endif
}
