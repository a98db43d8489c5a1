// SPDX-License-Identifier: GPL-2.0
/*
 * bomb N: forks all the time, with at most N children at once. A child calls value() and exits at once, executes this
 * program again for one call, is killed, or forks again. The program obeys "value", and "stop", which ends the forks
 * and reports the number of forks and of calls that returned neither 1 nor 2.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

int value(int x);

static atomic_int stopping;
static long forks, wrong;

static void child(unsigned int how)
{
	static char *once[] = { "bomb", "once", NULL };

	switch (how % 4) {
	case 0:
		_exit(value(0));
	case 1:
		execv("/proc/self/exe", once);
		_exit(100);
	case 2:
		fork();
		_exit(value(0));
	default:
		value(0);
		pause();
	}
}

static void reap(int flags, int *alive)
{
	int status;

	while (*alive && waitpid(-1, &status, flags) > 0) {
		--*alive;
		if (WIFEXITED(status) && WEXITSTATUS(status) != 1 && WEXITSTATUS(status) != 2)
			wrong++;
	}
}

static void *explode(void *arg)
{
	int most = atoi(arg), alive = 0, victims[64] = { 0 };

	for (unsigned int i = 0; !atomic_load(&stopping); i++) {
		int pid;

		reap(WNOHANG, &alive);
		if (alive >= most)
			continue;
		pid = fork();
		if (!pid)
			child(i);
		if (pid < 0)
			continue;
		alive++;
		forks++;
		if (i % 4 == 3) { /* it lives until 16 more of its kind were forked */
			int *old = &victims[i / 4 % 16];

			if (*old)
				kill(*old, SIGKILL);
			*old = pid;
		}
	}
	for (int i = 0; i < 16; i++)
		if (victims[i])
			kill(victims[i], SIGKILL);
	reap(0, &alive);
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_t thread;
	char line[64];

	if (argc != 2)
		return 2;
	if (!strcmp(argv[1], "once"))
		return value(0);
	setvbuf(stdout, NULL, _IOLBF, 4096);
	printf("ready %d\n", getpid());
	if (pthread_create(&thread, NULL, explode, argv[1]))
		return 1;
	while (fgets(line, sizeof(line), stdin)) {
		if (!strcmp(line, "stop\n")) {
			atomic_store(&stopping, 1);
			pthread_join(thread, NULL);
			printf("stopped forks %ld wrong %ld\n", forks, wrong);
		} else {
			printf("value %d\n", value(0));
		}
	}
	return 0;
}
