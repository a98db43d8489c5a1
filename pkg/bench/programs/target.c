// SPDX-License-Identifier: GPL-2.0
/*
 * The program that the benchmark stops: target THREADS LOAD
 *
 * THREADS threads, besides the main thread, which sleeps. LOAD is what they do:
 *
 *   asleep	wait in epoll_wait(); one more thread reads the clock
 *   still	as asleep, but nobody reads the clock: no thread runs
 *   busy	four for each processor read the clock, the others wait
 *   mixed	one for each processor reads the clock (of one thread: none waits), the others wake up by turns, about 500
 *		times a second all together
 *
 * A thread that reads the clock (CLOCK_MONOTONIC, without a break and without a system call) remembers the longest gap
 * between two readings: that is how long it did not run. In between it calls one of the functions that can be replaced,
 * by a direct call, as programs do.
 *
 * FUNCTIONS functions can be replaced, 16 to a page. Each begins with one instruction of five bytes, the size of a jump: no
 * thread can be between the bytes that are overwritten, so that a tool may write without a look at the threads.
 *
 * Commands on standard input, each with one line of answer; see obey().
 */

#define _GNU_SOURCE
#include <errno.h>
#include <linux/membarrier.h>
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define FUNCTIONS 1000
#define STRIDE 256
#define STR_(x) #x
#define STR(x) STR_(x)

/* What functions and what replaces them: they return 1 and 2. */
asm(".pushsection .text\n"
    "	.balign 4096\n"
    "	.globl functions, replacements\n"
    "	.type functions, @function\n"
    "functions:\n"
    "	.rept " STR(FUNCTIONS) "\n"
    "	.balign " STR(STRIDE) "\n"
    "	mov $1, %eax\n"
    "	ret\n"
    "	.endr\n"
    "	.size functions, . - functions\n"
    "	.type replacements, @function\n"
    "	.balign 16\n"
    "replacements:\n"
    "	.rept " STR(FUNCTIONS) "\n"
    "	.balign 16\n"
    "	mov $2, %eax\n"
    "	ret\n"
    "	.endr\n"
    "	.size replacements, . - replacements\n"
    "	.popsection\n");

int functions(void);
int replacements(void);

/* Of one thread, on cache lines of its own. */
struct worker {
	long gap_ns;
	long eintr;
	long wrong;
	int period_ms; /* between two wake-ups; -1: none */
	pthread_t thread;
} __attribute__((aligned(128)));

static struct worker *workers;
static int nr_workers;
static struct worker *lone_reader; /* if there is one only */
static int epoll;

static long now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000L + t.tv_nsec;
}

static void call(struct worker *w)
{
	int got = functions();

	if (got != 1 && got != 2)
		w->wrong++;
}

static void *read_clock(void *arg)
{
	struct worker *w = arg;
	long last = now_ns();

	for (;;) {
		long now = now_ns();

		if (now - last > __atomic_load_n(&w->gap_ns, __ATOMIC_RELAXED))
			__atomic_store_n(&w->gap_ns, now - last, __ATOMIC_RELAXED);
		last = now;
		call(w);
	}
	return NULL;
}

static void *wait_for_ever(void *arg)
{
	struct worker *w = arg;
	struct epoll_event event;

	for (;;) {
		if (epoll_wait(epoll, &event, 1, w->period_ms) < 0 && errno == EINTR)
			__atomic_fetch_add(&w->eintr, 1, __ATOMIC_RELAXED);
		call(w);
	}
	return NULL;
}

static void start(void *(*fn)(void *), int period_ms)
{
	struct worker *w = &workers[nr_workers++];
	pthread_attr_t attr;

	w->period_ms = period_ms;
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 64 << 10);
	errno = pthread_create(&w->thread, &attr, fn, w);
	if (errno) {
		perror("target: pthread_create");
		exit(1);
	}
}

static int min(int a, int b)
{
	return a < b ? a : b;
}

static int start_load(const char *load, int threads)
{
	int cpus = sysconf(_SC_NPROCESSORS_ONLN), readers, i;
	int period_ms = -1;

	if (!strcmp(load, "asleep") || !strcmp(load, "still")) {
		readers = 0;
	} else if (!strcmp(load, "busy")) {
		readers = min(threads, 4 * cpus);
	} else if (!strcmp(load, "mixed")) {
		readers = min((threads + 1) / 2, cpus);
		period_ms = 2 * threads;
	} else {
		return -1;
	}
	for (i = 0; i < threads; i++)
		start(i < readers ? read_clock : wait_for_ever, period_ms);
	if (!strcmp(load, "still"))
		return 0;
	if (!readers)
		start(read_clock, -1);
	if (readers <= 1)
		lone_reader = &workers[readers ? 0 : threads];
	return 0;
}

static void reset(void)
{
	for (int i = 0; i < nr_workers; i++) {
		__atomic_store_n(&workers[i].gap_ns, 0, __ATOMIC_RELAXED);
		__atomic_store_n(&workers[i].eintr, 0, __ATOMIC_RELAXED);
	}
	puts("reset");
}

static void stats(void)
{
	long gap = 0, eintr = 0, wrong = 0;

	for (int i = 0; i < nr_workers; i++) {
		long own = __atomic_load_n(&workers[i].gap_ns, __ATOMIC_RELAXED);

		gap = own > gap ? own : gap;
		eintr += __atomic_load_n(&workers[i].eintr, __ATOMIC_RELAXED);
		wrong += workers[i].wrong;
	}
	printf("stats gap_ns %ld eintr %ld wrong %ld\n", gap, eintr, wrong);
}

/*
 * Calls all functions and counts those that are replaced. The address is in no register or stack slot afterwards: an
 * address of a function there is in the way of whoever replaces it.
 */
static __attribute__((noinline)) void value(void)
{
	int replaced = 0;

	for (long i = 0; i < FUNCTIONS; i++) {
		long offset = i * STRIDE;
		int got;

		asm volatile("lea functions(%%rip), %%rax\n\tadd %1, %%rax\n\tcall *%%rax"
			     : "=&a"(got) : "r"(offset) : "memory", "cc");
		replaced += got == 2;
	}
	printf("value %d\n", replaced);
}

static void pin(pthread_t thread, int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	for (int i = 0; i < CPU_SETSIZE; i++)
		if (cpu < 0 || i == cpu)
			CPU_SET(i, &set);
	pthread_setaffinity_np(thread, sizeof(set), &set);
}

/* Has the reader run on one processor and the main thread on another. */
static void part(void)
{
	pin(pthread_self(), 0);
	pin(lone_reader->thread, 1);
	__atomic_store_n(&lone_reader->gap_ns, 0, __ATOMIC_RELAXED);
	while (!__atomic_load_n(&lone_reader->gap_ns, __ATOMIC_RELAXED))
		usleep(1000);
}

/*
 * How long one synchronous round of IPIs takes to all processors that execute this program, with nothing else:
 * MEMBARRIER_CMD_PRIVATE_EXPEDITED is that. A reader that is the only one is kept on another processor.
 */
static void round_ns(int times)
{
	int apart = lone_reader && sysconf(_SC_NPROCESSORS_ONLN) > 1;

	if (syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0)) {
		puts("round");
		return;
	}
	if (apart)
		part();
	printf("round");
	for (int i = 0; i < times; i++) {
		long began;

		/* As far apart as windows are: rounds in a row are faster on a machine that others use too. */
		usleep(1000);
		began = now_ns();
		syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0);
		printf(" %ld", now_ns() - began);
	}
	printf("\n");
	if (apart) {
		pin(pthread_self(), -1);
		pin(lone_reader->thread, -1);
	}
}

/* How long a copy of 16 bytes to a place that no cache has takes: the sum of many, in ns. */
static void copy_ns(int times)
{
	size_t size = 64 << 20, at = 0;
	char *memory = malloc(size);
	uint64_t random = 88172645463325252, bytes[2] = { 1, 2 };
	long began;

	if (!memory) {
		puts("copy");
		return;
	}
	memset(memory, 1, size);
	began = now_ns();
	for (int i = 0; i < times; i++) {
		random ^= random << 13;
		random ^= random >> 7;
		random ^= random << 17;
		bytes[0] = random;
		memcpy(memory + at, bytes, sizeof(bytes));
		/* The next place depends on what is there: no two copies overlap in time. */
		at = (random + *(volatile uint64_t *)(memory + at)) % (size - 64) & ~63UL;
	}
	printf("copy %ld\n", now_ns() - began);
	free(memory);
}

static void obey(const char *line)
{
	int n;

	if (!strcmp(line, "reset"))
		reset();
	else if (!strcmp(line, "stats"))
		stats();
	else if (!strcmp(line, "value"))
		value();
	else if (sscanf(line, "round %d", &n) == 1)
		round_ns(n);
	else if (sscanf(line, "copy %d", &n) == 1)
		copy_ns(n);
	else
		puts("what?");
}

int main(int argc, char **argv)
{
	static char line[64];
	int threads = argc == 3 ? atoi(argv[1]) : 0;

	setvbuf(stdout, NULL, _IOLBF, 1 << 16);
	epoll = epoll_create1(0);
	workers = aligned_alloc(128, (threads + 1) * sizeof(*workers));
	if (threads < 1 || epoll < 0 || !workers) {
		fprintf(stderr, "usage: target THREADS asleep|still|busy|mixed\n");
		return 2;
	}
	memset(workers, 0, (threads + 1) * sizeof(*workers));
	if (start_load(argv[2], threads)) {
		fprintf(stderr, "target: no load %s\n", argv[2]);
		return 2;
	}
	printf("ready %d %p %p\n", getpid(), (void *)functions, (void *)replacements);
	while (fgets(line, sizeof(line), stdin)) {
		line[strcspn(line, "\n")] = '\0';
		obey(line);
	}
	return 0;
}
