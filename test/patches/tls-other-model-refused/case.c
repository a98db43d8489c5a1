/*
 * The new code was compiled for a program, the old code for a library.
 *
 * refused: tls-model mine: compile with -fPIC
 * image: library
 */
#include "../case.h"

#ifdef FIX
#define MODEL __attribute__((tls_model("local-exec")))
#else
#define MODEL
#endif

__thread long mine MODEL __attribute__((visibility("hidden"))) = 7;

noinline long read_it(int twice)
{
	return twice ? mine + OLD_NEW(0, mine) : 0;
}

long probe(void)
{
	return read_it(HIDE(1));
}
