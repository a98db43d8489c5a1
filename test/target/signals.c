// SPDX-License-Identifier: GPL-2.0
/*
 * Receives numbered real-time signals and counts those that are lost, repeated or out of order. Each of the signals
 * SIGRTMIN … SIGRTMIN + THREADS - 1 has one thread that receives it, so the kernel's guarantee holds: signals of the same
 * number are queued, and delivered in the order in which they were sent. The threads differ in how they wait:
 *
 *	0	spins, and calls value() all the time
 *	1	sleeps in nanosleep()
 *	2	sleeps likewise, and handles signals on an alternate stack
 *	3	receives signals with sigwaitinfo(); an interruption there is counted, too
 *
 * The handlers call value(), which is patched meanwhile, and check its result.
 *
 * Prints "ready PID"; answers each line on standard input with
 *	"stats received N wrong N interrupted N values N"
 * wrong: signals whose number was not the next one; values: wrong results of value().
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define THREADS 4

int value(int x);

static atomic_long received, wrong, interrupted, values;
/* Each entry is used by one thread only. */
static int next[THREADS];

static void check_value(int x)
{
	int got = value(x);

	if (got != x + 1 && got != x + 2)
		atomic_fetch_add(&values, 1);
}

static void take(const siginfo_t *info)
{
	int *want = &next[info->si_signo - SIGRTMIN];

	if (info->si_code != SI_QUEUE || info->si_value.sival_int != *want)
		atomic_fetch_add(&wrong, 1);
	*want = info->si_value.sival_int + 1;
	check_value(info->si_value.sival_int);
	atomic_fetch_add(&received, 1);
}

static void handle(int signal, siginfo_t *info, void *context)
{
	int saved = errno;

	(void)signal;
	(void)context;
	take(info);
	errno = saved;
}

static void wait_for_signals(const sigset_t *set)
{
	siginfo_t info;

	for (;;) {
		if (sigwaitinfo(set, &info) > 0)
			take(&info);
		else
			atomic_fetch_add(&interrupted, 1);
	}
}

static void *receiver(void *arg)
{
	struct timespec nap = { .tv_nsec = 20000000 };
	long i = (long)arg;
	stack_t stack = { .ss_size = 64 << 10 };
	sigset_t mine;

	sigemptyset(&mine);
	sigaddset(&mine, SIGRTMIN + i);
	if (i == 3)
		wait_for_signals(&mine);
	if (i == 2) {
		stack.ss_sp = malloc(stack.ss_size);
		if (!stack.ss_sp || sigaltstack(&stack, NULL))
			abort();
	}
	pthread_sigmask(SIG_UNBLOCK, &mine, NULL);
	for (int x = 0;; x = (x + 1) & 0xffff) {
		for (volatile int j = 0; j < 2000; j++)
			;
		check_value(x);
		if (i)
			nanosleep(&nap, NULL);
	}
	return NULL;
}

int main(void)
{
	struct sigaction action = { .sa_sigaction = handle, .sa_flags = SA_SIGINFO | SA_RESTART | SA_ONSTACK };
	char line[16];
	sigset_t all;
	pthread_t t;

	sigemptyset(&all);
	for (int i = 0; i < THREADS; i++) {
		sigaddset(&all, SIGRTMIN + i);
		sigaction(SIGRTMIN + i, &action, NULL);
	}
	pthread_sigmask(SIG_BLOCK, &all, NULL);
	for (long i = 0; i < THREADS; i++)
		if (pthread_create(&t, NULL, receiver, (void *)i))
			abort();
	setvbuf(stdout, NULL, _IOLBF, 0);
	printf("ready %d\n", getpid());
	while (fgets(line, sizeof(line), stdin))
		printf("stats received %ld wrong %ld interrupted %ld values %ld\n", received, wrong, interrupted, values);
	return 0;
}
