/*
 * The linker has put one string into the end of another one.
 *
 * old: 116
 * new: 122
 * changes: get
 */
#include "../case.h"

noinline const char *get(int i)
{
	switch (i) {
	case 0: return "first string";
	case 1: return "string";
	case 2: return OLD_NEW("tring", "zring");
	}
	return "ring";
}

long probe(void)
{
	return get(HIDE(2))[0] + get(HIDE(3))[0] - get(HIDE(3))[0];
}
