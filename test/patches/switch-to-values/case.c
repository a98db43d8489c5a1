/*
 * A switch that became a table of values (CSWTCH, switch.table): compared by content.
 *
 * old: 101
 * new: 102
 * changes: value
 */
#include "../case.h"

noinline long value(unsigned int x)
{
	switch (x) {
	case 0: return 17;
	case 1: return 3;
	case 2: return 99;
	case 3: return -12;
	case 4: return OLD_NEW(101, 102);
	case 5: return 8;
	case 6: return 71;
	}
	return 0;
}

long probe(void)
{
	return value(HIDE(4));
}
