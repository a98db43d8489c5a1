// SPDX-License-Identifier: GPL-2.0
/*
 * seal: seals (mseal()) each file mapping, of its own code and of files mapped into it, for each line of input, and
 * reports success or the reason why the kernel refused.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef __NR_mseal
#define __NR_mseal 462
#endif

/*
 * Runs in its own thread, so that it leaves no address inside the patch on a stack, where it would look like a return
 * address. Returns NULL, or the reason why not all mappings are sealed.
 */
static void *seal(void *unused)
{
	unsigned long start, end;
	char line[512];
	void *why = NULL;
	FILE *maps = fopen("/proc/self/maps", "r");

	(void)unused;
	while (maps && fgets(line, sizeof(line), maps)) {
		if (!strchr(line, '/') || sscanf(line, "%lx-%lx", &start, &end) != 2)
			continue;
		if (syscall(__NR_mseal, start, end - start, 0)) {
			why = strerror(errno);
			break;
		}
	}
	if (maps)
		fclose(maps);
	return why;
}

int value(int x);

/* Overwrites what earlier calls left on the stack, which could look like a return address, too. */
static __attribute__((noinline)) void scrub(void)
{
	volatile char stack[1 << 16];

	memset((char *)stack, 0, sizeof(stack));
	__asm__ volatile("" : : "r"(stack) : "memory");
}

int main(void)
{
	char line[64];
	pthread_t thread;
	void *why;

	printf("ready %d\n", getpid());
	fflush(stdout);
	while (fgets(line, sizeof(line), stdin)) {
		if (!strcmp(line, "value\n"))
			printf("value %d\n", value(0));
		else if (pthread_create(&thread, NULL, seal, NULL) || pthread_join(thread, &why))
			printf("cannot: no thread\n");
		else if (why)
			printf("cannot: %s\n", (char *)why);
		else
			printf("sealed\n");
		fflush(stdout);
		scrub();
	}
	return 0;
}
