// SPDX-License-Identifier: GPL-2.0
/*
 * A program whose threads are in an endless loop, in a function that is patched: the first one spins, the others sleep now
 * and then. It prints "ready PID" and obeys lines on standard input, each of which it answers with a line:
 *
 *	start N   N more threads enter turn(); "in" when they have
 *	leave N   N of them leave turn(); "out" when they have
 *	fork      a thread in turn() forks there, and the only thread of the child goes on; "child PID"
 *
 * SIGUSR1 lets a child's thread leave turn(), and sleep. With FIXED turn() counts differently, with FIXED_MAIN main() is
 * different.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

static atomic_int inside, leaving, forking;
static atomic_long rounds;
static volatile sig_atomic_t child;

static void leave_child(int sig)
{
	(void)sig;
	atomic_store(&leaving, 1);
}

__attribute__((noinline)) static void do_fork(void)
{
	pid_t pid = fork();

	if (pid) {
		printf("child %d\n", pid);
		return;
	}
	child = 1;
	signal(SIGUSR1, leave_child);
}

__attribute__((noinline)) void turn(void)
{
	int sleeps = atomic_fetch_add(&inside, 1);

	for (;;) {
#ifdef FIXED
		atomic_fetch_add(&rounds, 2);
#else
		atomic_fetch_add(&rounds, 1);
#endif
		if (sleeps)
			usleep(1000);
		if (atomic_load(&leaving) > 0) {
			if (atomic_fetch_sub(&leaving, 1) > 0)
				break;
			atomic_fetch_add(&leaving, 1);
		}
		if (atomic_load(&forking) && atomic_exchange(&forking, 0))
			do_fork();
	}
	atomic_fetch_sub(&inside, 1);
}

/* When it sleeps, no address inside turn() is left on its stack. */
static void *worker(void *arg)
{
	turn();
	while (child)
		pause();
	return arg;
}

static void wait_inside(int n)
{
	while (atomic_load(&inside) != n)
		usleep(1000);
}

__attribute__((noinline)) static void obey(const char *line)
{
	pthread_t thread;
	int n;

	if (sscanf(line, "start %d", &n) == 1) {
		int before = atomic_load(&inside);

		for (int i = 0; i < n; i++)
			if (pthread_create(&thread, NULL, worker, NULL) || pthread_detach(thread))
				perror("turns: pthread_create");
		wait_inside(before + n);
		puts("in");
	} else if (sscanf(line, "leave %d", &n) == 1) {
		int before = atomic_load(&inside);

		atomic_store(&leaving, n);
		wait_inside(before - n);
		puts("out");
	} else {
		atomic_store(&forking, 1);
	}
}

int main(void)
{
	char line[100];

	setvbuf(stdout, NULL, _IOLBF, 0);
	printf("ready %d\n", getpid());
	while (fgets(line, sizeof(line), stdin)) {
#ifdef FIXED_MAIN
		line[sizeof(line) - 1] = '\0';
#endif
		obey(line);
	}
	return 0;
}
