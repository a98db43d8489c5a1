/*
 * Threads meet in a lock of the program while the function that takes it is replaced.
 *
 * old: 1
 * new: 2
 * changes: locked
 */
#include <pthread.h>
#include "../case.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static long inside;

noinline long locked(void)
{
	long got;

	pthread_mutex_lock(&lock);
	got = ++inside;
	for (int i = 0; i < 20; i++)
		__asm__ volatile("pause");
	inside--;
	pthread_mutex_unlock(&lock);
	return got + OLD_NEW(0, 1);
}

long probe(void)
{
	return locked();
}
