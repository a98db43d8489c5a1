/*
 * A thread ends in new code, whose cleanup handler runs, as does that of its old caller.
 *
 * old: 11
 * new: 13
 */
#include <pthread.h>
#include "../case.h"

static void count(void *arg)
{
	*(long *)arg += OLD_NEW(1, 3);
}

static void count_ten(void *arg)
{
	*(long *)arg += 10;
}

noinline void leave(void *arg)
{
	pthread_cleanup_push(count, arg);
	pthread_exit(OLD_NEW(NULL, arg));
	pthread_cleanup_pop(0);
}

static noinline void *run(void *arg)
{
	pthread_cleanup_push(count_ten, arg);
	leave(arg);
	pthread_cleanup_pop(0);
	return NULL;
}

long probe(void)
{
	long n = 0;
	pthread_t t;

	if (pthread_create(&t, NULL, run, &n))
		return -1;
	pthread_join(t, NULL);
	return n;
}
