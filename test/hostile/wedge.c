// SPDX-License-Identifier: GPL-2.0
/*
 * wedge FILE OFFSET LENGTH: maps the file like a program, and holds its own mmap_lock with a page fault on a file that
 * is never read to the end. A fault drops the lock while it waits, except at its third try.
 */
#define _GNU_SOURCE
#include <signal.h>
#include <sys/mman.h>

#include "silent.h"

int main(int argc, char **argv)
{
	int told, image, file;
	volatile char *page;
	char byte;

	if (argc != 4)
		return 2;
	image = open(argv[1], O_RDONLY);
	if (mmap(NULL, atol(argv[3]), PROT_READ | PROT_EXEC, MAP_PRIVATE, image, atol(argv[2])) == MAP_FAILED)
		die(argv[1]);
	file = silent_file(2, &told);
	page = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, file, 0);
	if (page == MAP_FAILED)
		die("mmap");
	if (!fork()) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (read(told, &byte, 1) == 1)
			printf("ready %d\n", getppid());
		fflush(stdout);
		pause();
	}
	(void)*page;
	return 1;
}
