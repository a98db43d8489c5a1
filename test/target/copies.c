// SPDX-License-Identifier: GPL-2.0
/*
 * A program whose threads fork all the time. Each child checks that all bytes of a large variable are equal, as they are
 * before and after a patch, and exits.
 *
 * It obeys, a line each on standard input:
 *	stats     "stats forks N mixed N": children that have exited, and those that saw different bytes
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define THREADS 4

unsigned char field[64 << 10] __attribute__((aligned(4096)));

static atomic_ulong forks, mixed;

static void *forker(void *arg)
{
	for (;;) {
		pid_t pid = fork();
		int status;

		if (!pid)
			_exit(memcmp(field, field + 1, sizeof(field) - 1) != 0);
		if (pid < 0 || waitpid(pid, &status, 0) != pid) {
			perror("copies");
			exit(1);
		}
		atomic_fetch_add(&mixed, status != 0);
		atomic_fetch_add(&forks, 1);
	}
	return arg;
}

int main(void)
{
	pthread_t thread;
	char line[16];

	for (int i = 0; i < THREADS; i++) {
		if (pthread_create(&thread, NULL, forker, NULL)) {
			perror("copies: pthread_create");
			return 1;
		}
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	printf("ready %d\n", getpid());
	while (fgets(line, sizeof(line), stdin))
		printf("stats forks %lu mixed %lu\n", atomic_load(&forks), atomic_load(&mixed));
	return 0;
}
