/*
 * Two files of one name with static functions that are the same to the last byte: only one of them changes, and which one
 * that is in the program nobody can say.
 *
 * refused: object-ambiguous
 */
#include "../case.h"

extern long (*one)(long), (*two)(long);

long probe(void)
{
	return one(HIDE(1)) + two(HIDE(1));
}
