/*
 * One member of a table changes; the pointers beside it stay as they are.
 *
 * old: 102
 * new: 109
 * options: --data
 */
#include "../case.h"

struct row {
	const char *name;
	int limit, unit;
};

struct row rows[] = { { "a", 3, 1 }, { "d", 2, OLD_NEW(2, 9) } };

long probe(void)
{
	struct row *r = HIDE(&rows[1]);

	return r->name[0] + r->unit;
}
