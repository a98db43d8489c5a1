/*
 * A table of strings that the program has: one of them changes. The addresses of strings differ from process to process.
 *
 * refused: data-pointer-changed names: differs in a pointer
 * options: --data
 */
#include "../case.h"

const char *names[] = { "apple", OLD_NEW("banana", "cherry") };

noinline long get(int i)
{
	return names[i][0];
}

long probe(void)
{
	return get(HIDE(1));
}
