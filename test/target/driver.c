// SPDX-License-Identifier: GPL-2.0
/*
 * The program around a case: threads call probe() all the time and check its return value.
 *
 *	case VALUE…	the values that probe() may return: the old one, the new one, others that may occur in between
 *
 * It obeys commands, a line each, on standard input, and answers each with one line on standard output:
 *	look	"look VALUE… wrong N", all values that the threads got since each of them began a new call, once each
 *		has called again; N counts the calls, since the start, that returned another value
 *	quit	"bye"
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define THREADS 3
#define VALUES 8

/* Defined by the case; setup() is called once, before the threads are created. */
long probe(void);
void setup(void) __attribute__((weak));

static long values[VALUES];
static int nr_values;
static atomic_ulong seen, wrong, calls[THREADS];
static _Atomic long last_wrong;

/*
 * Sleeps without a library function: words that earlier calls left on the stack below this frame are not searched, so
 * they are not mistaken for a call in progress.
 */
static inline __attribute__((always_inline)) void nap(long ns)
{
	struct timespec time = { .tv_nsec = ns };
	long ret;

	__asm__ volatile("syscall" : "=a"(ret) : "a"(SYS_nanosleep), "D"(&time), "S"(NULL) : "rcx", "r11", "memory");
}

static void check(void)
{
	long got = probe();

	for (int i = 0; i < nr_values; i++) {
		if (got == values[i]) {
			atomic_fetch_or(&seen, 1UL << i);
			return;
		}
	}
	atomic_store(&last_wrong, got);
	atomic_fetch_add(&wrong, 1);
}

static long now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * 1000000000 + time.tv_nsec;
}

/*
 * Each thread is outside of probe() for most of the time, however long a call takes: a patch of several functions needs
 * a moment when no thread is inside.
 */
static void *worker(void *arg)
{
	long nr = (long)arg;

	for (;;) {
		long began = now(), took;

		for (int i = 0; i < 3; i++) {
			check();
			atomic_fetch_add(&calls[nr], 1);
		}
		took = now() - began;
		nap(took > 10000000 ? 50000000 : 300000 + took * 5);
	}
	return NULL;
}

/* Waits until each thread has completed a call that began after this function was called. */
static void await_calls(void)
{
	for (int i = 0; i < THREADS; i++) {
		unsigned long from = atomic_load(&calls[i]);

		while (atomic_load(&calls[i]) < from + 2)
			nap(200000);
	}
}

static void look(void)
{
	unsigned long got;

	await_calls();
	atomic_store(&seen, 0);
	await_calls();
	got = atomic_load(&seen);
	printf("look");
	for (int i = 0; i < nr_values; i++)
		if (got & (1UL << i))
			printf(" %ld", values[i]);
	printf(" wrong %lu", atomic_load(&wrong));
	if (atomic_load(&wrong))
		printf(" (%ld)", atomic_load(&last_wrong));
	putchar('\n');
}

int main(int argc, char **argv)
{
	char line[16];

	for (int i = 1; i < argc && nr_values < VALUES; i++)
		values[nr_values++] = atol(argv[i]);
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (setup)
		setup();
	for (long i = 0; i < THREADS; i++) {
		pthread_t t;

		if (pthread_create(&t, NULL, worker, (void *)i)) {
			perror("pthread_create");
			return 1;
		}
	}
	printf("ready %d\n", getpid());
	while (fgets(line, sizeof(line), stdin)) {
		if (!strcmp(line, "look\n")) {
			look();
		} else {
			puts("bye");
			break;
		}
	}
	return 0;
}
