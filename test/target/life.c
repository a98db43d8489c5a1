// SPDX-License-Identifier: GPL-2.0
/*
 * A program that behaves like a server: it forks workers, which call value() all the time and store its result in
 * shared memory; it loads and unloads a library; it changes its own mappings. It obeys commands on stdin, one per line.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define SLOTS 4096
#define PAGE 4096UL

int value(int x);

/* The last result of a worker, and its epoch. pid 0: free. */
struct slot {
	atomic_int pid;
	atomic_int value;
	atomic_long epoch;
};

static struct {
	atomic_long epoch, forked;
	struct slot slots[SLOTS];
} *shared;

static atomic_int churning;
static void *library;
static int (*library_value)(int);
static char **arguments;

static void nap(long ms)
{
	struct timespec t = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 };

	nanosleep(&t, NULL);
}

/* Works for that many ms, or forever if 0. */
static void work(struct slot *slot, long ms)
{
	struct timespec now, end;

	clock_gettime(CLOCK_MONOTONIC, &end);
	end.tv_nsec += ms * 1000000;
	for (;;) {
		long epoch = atomic_load(&shared->epoch);

		atomic_store(&slot->value, value(0));
		atomic_store(&slot->epoch, epoch);
		nap(2);
		clock_gettime(CLOCK_MONOTONIC, &now);
		if (ms && (now.tv_sec - end.tv_sec) * 1000000000 + now.tv_nsec - end.tv_nsec > 0)
			_exit(0);
	}
}

static struct slot *find(int pid)
{
	for (int i = 0; i < SLOTS; i++)
		if (atomic_load(&shared->slots[i].pid) == pid)
			return &shared->slots[i];
	return NULL;
}

/* Forks a worker. Its slot belongs to -1 until the worker exists. */
static int spawn(long ms)
{
	struct slot *slot;
	int none, pid;

	do {
		none = 0;
		slot = find(0);
	} while (slot && !atomic_compare_exchange_strong(&slot->pid, &none, -1));
	if (!slot)
		return -1;
	atomic_store(&slot->epoch, -1);
	pid = fork();
	if (!pid) {
		atomic_store(&slot->pid, getpid());
		work(slot, ms);
	}
	atomic_store(&slot->pid, pid > 0 ? pid : 0);
	atomic_fetch_add(&shared->forked, 1);
	return pid;
}

/* Forks a worker whose parent exits. */
static int spawn_grandchild(void)
{
	struct slot *slot;
	int pid = fork();

	if (!pid) {
		spawn(0);
		_exit(0);
	}
	waitpid(pid, NULL, 0);
	for (int i = SLOTS - 1; i >= 0; i--) {
		slot = &shared->slots[i];
		if (atomic_load(&slot->pid) > 0)
			return atomic_load(&slot->pid);
	}
	return -1;
}

static void reap(void)
{
	struct slot *slot;
	int pid;

	while ((pid = waitpid(-1, NULL, WNOHANG)) > 0) {
		slot = find(pid);
		if (slot)
			atomic_store(&slot->pid, 0);
	}
}

/* Forks workers all the time; about one in sixteen lives long. */
static void *churn(void *arg)
{
	int alive = 0;

	for (unsigned int i = 0; atomic_load(&churning); i++) {
		reap();
		if (i % 16 == 0 && alive++ < 24)
			spawn(0);
		else
			spawn(5 + i % 40);
	}
	return arg;
}

/* Collects the results of all live workers in an epoch that begins now. */
static void census(void)
{
	long epoch = atomic_fetch_add(&shared->epoch, 1) + 1;
	int all = 0, old = 0, new = 0;

	for (int i = 0; i < SLOTS; i++) {
		struct slot *slot = &shared->slots[i];
		int pid = atomic_load(&slot->pid);

		while (pid > 0 && atomic_load(&slot->pid) == pid && atomic_load(&slot->epoch) < epoch && !kill(pid, 0)) {
			nap(1);
			if (!atomic_load(&churning))
				reap();
		}
		if (pid <= 0 || atomic_load(&slot->pid) != pid || atomic_load(&slot->epoch) < epoch)
			continue;
		all++;
		old += atomic_load(&slot->value) == 1;
		new += atomic_load(&slot->value) == 2;
	}
	printf("census %d old %d new %d forked %ld\n", all, old, new, atomic_load(&shared->forked));
}

static void ask(int pid)
{
	long epoch = atomic_fetch_add(&shared->epoch, 1) + 1;
	struct slot *slot = find(pid);

	while (slot && atomic_load(&slot->epoch) < epoch)
		nap(1);
	printf("value %d\n", slot ? atomic_load(&slot->value) : -1);
}

static void open_library(const char *path)
{
	library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	if (!library) {
		puts(dlerror());
		return;
	}
	library_value = (int (*)(int))dlsym(library, "value");
	printf("at %p\n", (void *)library_value);
}

/* Maps its own memory, filled with one byte value, over an existing mapping. */
static void cover(unsigned long at, unsigned long len)
{
	void *p = mmap((void *)at, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);

	if (p != MAP_FAILED)
		memset(p, 0x5a, len);
	printf("covered %d\n", p == MAP_FAILED ? errno : 0);
}

static void intact(unsigned long at, unsigned long len)
{
	unsigned long wrong = 0;

	for (unsigned long i = 0; i < len; i++)
		wrong += ((unsigned char *)at)[i] != 0x5a;
	printf("wrong %lu\n", wrong);
}

static void *execute(void *arg)
{
	execv("/proc/self/exe", arguments);
	return arg;
}

static void thread(void *(*fn)(void *))
{
	pthread_t t;

	if (pthread_create(&t, NULL, fn, NULL))
		abort();
}

static int share(void *arg)
{
	for (;;)
		work(arg, 0);
	return 0;
}

/* Starts a process that shares the memory. */
static int sharer(void)
{
	char *stack = malloc(64 << 10);
	struct slot *slot = find(0);
	int pid;

	atomic_store(&slot->pid, -1);
	pid = clone(share, stack + (64 << 10), CLONE_VM | CLONE_PARENT | SIGCHLD, slot);
	atomic_store(&slot->pid, pid);
	return pid;
}

static void obey(const char *line)
{
	unsigned long a = 0, b = 0;
	char word[32], path[200];

	if (sscanf(line, "open %199s", path) == 1) {
		open_library(path);
		return;
	}
	sscanf(line, "%31s %lu %lu", word, &a, &b);
	if (!strcmp(word, "value")) {
		printf("value %d\n", value(0));
	} else if (!strcmp(word, "library")) {
		printf("value %d\n", library_value(0));
	} else if (!strcmp(word, "close")) {
		printf("closed %d\n", dlclose(library));
	} else if (!strcmp(word, "fork")) {
		printf("child %d\n", spawn(0));
	} else if (!strcmp(word, "nest")) {
		printf("child %d\n", spawn_grandchild());
	} else if (!strcmp(word, "ask")) {
		ask((int)a);
	} else if (!strcmp(word, "churn")) {
		atomic_store(&churning, 1);
		thread(churn);
		puts("churning");
	} else if (!strcmp(word, "calm")) {
		atomic_store(&churning, 0);
		puts("calm");
	} else if (!strcmp(word, "census")) {
		census();
	} else if (!strcmp(word, "drop")) {
		printf("dropped %d\n", madvise((void *)((unsigned long)value & ~(PAGE - 1)), PAGE, MADV_DONTNEED));
	} else if (!strcmp(word, "unmap")) {
		printf("unmapped %d\n", munmap((void *)a, b));
	} else if (!strcmp(word, "cover")) {
		cover(a, b);
	} else if (!strcmp(word, "intact")) {
		intact(a, b);
	} else if (!strcmp(word, "exec")) {
		thread(execute);
	} else if (!strcmp(word, "share")) {
		printf("child %d\n", sharer());
	} else if (!strcmp(word, "quit")) {
		puts("bye");
		fflush(stdout);
		_exit(0);
	} else {
		printf("what is %s?\n", word);
	}
}

int main(int argc, char **argv)
{
	static char line[256];

	(void)argc;
	arguments = argv;
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED)
		return 1;
	setvbuf(stdout, NULL, _IOLBF, 4096);
	printf("ready %d\n", getpid());
	while (fgets(line, sizeof(line), stdin))
		obey(line);
	return 0;
}
