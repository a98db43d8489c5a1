/*
 * A thread is cancelled in new C++ code: destructors run, in new frames and in old ones.
 *
 * old: 11
 * new: 13
 */
#include <pthread.h>
#include <unistd.h>
#include "../case.h"

struct Count {
	long *where, by;
	~Count() { *where += by; }
};

noinline void wait_for_it(long *p)
{
	Count c = { p, OLD_NEW(1, 3) };

	for (;;) {
		pthread_testcancel();
		usleep(1000);
	}
}

static noinline void *run(void *arg)
{
	Count c = { static_cast<long *>(arg), 10 };

	wait_for_it(static_cast<long *>(arg));
	return nullptr;
}

long probe(void)
{
	long n = 0;
	pthread_t t;

	if (pthread_create(&t, nullptr, run, &n))
		return -1;
	pthread_cancel(t);
	pthread_join(t, nullptr);
	return n;
}
