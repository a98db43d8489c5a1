/*
 * Static compound literals, to which compilers give names and numbers.
 *
 * old: 31
 * new: 42
 */
#include "../case.h"

struct item {
	long v;
};

#ifdef FIX
static struct item *const added = &(struct item){ 12 };
#else
#define added (&items_one)
static struct item items_one = { 1 };
#endif
struct item *kept = &(struct item){ 30 };

noinline long sum(void)
{
	return HIDE(added)->v + HIDE(kept)->v;
}

long probe(void)
{
	return sum();
}
