// SPDX-License-Identifier: GPL-2.0
/*
 * seal: seals (mseal()) each mapping of a file, its own code and what is mapped into it, whenever it is told to, and says so; or
 * why the kernel does not.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef __NR_mseal
#define __NR_mseal 462
#endif

/* Returns how many were sealed, or -1. */
static int seal(void)
{
	unsigned long start, end;
	char line[512];
	int sealed = 0;
	FILE *maps = fopen("/proc/self/maps", "r");

	while (maps && fgets(line, sizeof(line), maps)) {
		if (!strchr(line, '/') || sscanf(line, "%lx-%lx", &start, &end) != 2)
			continue;
		if (syscall(__NR_mseal, start, end - start, 0)) {
			sealed = -1;
			break;
		}
		sealed++;
	}
	if (maps)
		fclose(maps);
	return sealed;
}

int value(int x);

int main(void)
{
	char line[64];

	printf("ready %d\n", getpid());
	fflush(stdout);
	while (fgets(line, sizeof(line), stdin)) {
		if (!strcmp(line, "value\n"))
			printf("value %d\n", value(0));
		else if (seal() < 0)
			printf("cannot: %s\n", strerror(errno));
		else
			printf("sealed\n");
		fflush(stdout);
	}
	return 0;
}
