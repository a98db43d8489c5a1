/*
 * A handler of a signal, which the kernel calls by the address that it was given.
 *
 * old: 4
 * new: 5
 * changes: handle
 */
#include <signal.h>
#include "../case.h"

static __thread volatile long got;

static void handle(int signal)
{
	got = signal - SIGUSR1 + OLD_NEW(4, 5);
}

void setup(void)
{
	signal(SIGUSR1, handle);
}

long probe(void)
{
	got = 0;
	raise(SIGUSR1);
	return got;
}
