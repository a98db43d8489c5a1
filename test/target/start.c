// SPDX-License-Identifier: GPL-2.0
/*
 * Programs that test the start of a process.
 *
 *	start             exits with value(0), called before anything else: before main() and all other initialisation of
 *	                  the program itself
 *	start LIBRARY N   opens the library N times, each time calls its value(0), closes it, and exits with the sum
 *	start -t LIBRARY N, start -f LIBRARY N
 *	                  does so in a second thread, while the first one computes; in a child
 *	start -x PROGRAM  executes the program by file descriptor
 *	start -r N PROGRAM [ARGUMENT…]
 *	                  runs the program N times, one after another, and counts its exit statuses: "1: 0, 2: 100"
 *
 * With -DNO_PREINIT a constructor calls value(), since musl has no earlier hook.
 *
 * With -DLIBRARY the file is that library: its constructor stores the result of its value(0), which first() returns.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

int value(int x);
int first(void);

static int earliest;

#ifndef WITH_LIBRARY
static void before(void)
{
	earliest = value(0);
}
#endif

#ifdef LIBRARY
int first(void)
{
	return earliest;
}

__attribute__((constructor)) static void construct(void)
{
	before();
}
#else
#ifdef WITH_LIBRARY
/* The constructors of libraries run before those of the program. */
__attribute__((constructor)) static void look(void)
{
	earliest = first();
}
#else
#ifdef NO_PREINIT
__attribute__((constructor)) static void look(void)
{
	before();
}
#else
__attribute__((section(".preinit_array"), used)) static void (*const preinit)(void) = before;
#endif
#endif

#ifndef STATIC
static int open_library(const char *path, int times)
{
	int sum = 0;

	while (times--) {
		void *library = dlopen(path, RTLD_NOW);
		int (*at_start)(void), (*now)(int);

		if (!library) {
			fprintf(stderr, "start: %s\n", dlerror());
			exit(255);
		}
		at_start = (int (*)(void))dlsym(library, "first");
		now = (int (*)(int))dlsym(library, "value");
		if (at_start() != now(0)) {
			fprintf(stderr, "start: the constructor saw %d, now it is %d\n", at_start(), now(0));
			exit(254);
		}
		sum += now(0);
		dlclose(library);
	}
	return sum;
}

static void *open_in_thread(void *arg)
{
	char **argv = arg;

	exit(open_library(argv[0], atoi(argv[1])));
}

static int open_elsewhere(int threads, char **argv)
{
	pthread_t thread;
	int status = 0;
	pid_t child;

	if (threads) {
		if (pthread_create(&thread, NULL, open_in_thread, argv))
			return 253;
		for (;;)
			__asm__ volatile("");
	}
	child = fork();
	if (!child)
		exit(open_library(argv[0], atoi(argv[1])));
	waitpid(child, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 253;
}
#endif

static int execute(char **argv)
{
	extern char **environ;

	fexecve(open(argv[0], O_RDONLY | O_CLOEXEC), argv, environ);
	perror("start");
	return 255;
}

static int run(int times, char **argv)
{
	extern char **environ;
	int seen[256] = { 0 }, status;
	const char *comma = "";

	while (times--) {
		pid_t pid;

		if (posix_spawn(&pid, argv[0], NULL, NULL, argv, environ) || waitpid(pid, &status, 0) != pid) {
			perror("start");
			return 1;
		}
		seen[WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status)]++;
	}
	for (int i = 0; i < 256; i++) {
		if (seen[i]) {
			printf("%s%d: %d", comma, i, seen[i]);
			comma = ", ";
		}
	}
	puts("");
	return 0;
}

int main(int argc, char **argv)
{
	if (argc > 3 && !strcmp(argv[1], "-r"))
		return run(atoi(argv[2]), argv + 3);
	if (argc > 2 && !strcmp(argv[1], "-x"))
		return execute(argv + 2);
#ifndef STATIC
	if (argc > 3)
		return open_elsewhere(!strcmp(argv[1], "-t"), argv + 2);
	if (argc > 2)
		return open_library(argv[1], atoi(argv[2]));
#endif
	return earliest;
}
#endif
