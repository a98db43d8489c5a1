// SPDX-License-Identifier: GPL-2.0
/*
 * hog FILE OFFSET LENGTH: maps and unmaps a file like a program all the time, with nice 19. A second thread runs with
 * 60 MiB of zero pages above its stack pointer. They cost no memory, but a search of the stack takes long.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#define STACK (60UL << 20)

static int spin(void *arg)
{
	while (!arg)
		__asm__ volatile("pause");
	return 0;
}

int main(int argc, char **argv)
{
	char *stack = mmap(NULL, STACK, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	int fd = argc == 4 ? open(argv[1], O_RDONLY) : -1;

	if (fd < 0 || stack == MAP_FAILED || setpriority(PRIO_PROCESS, 0, 19))
		return 2;
	madvise(stack, STACK, MADV_NOHUGEPAGE);
	if (madvise(stack, STACK, MADV_POPULATE_READ) || mprotect(stack, STACK, PROT_READ | PROT_WRITE))
		return 1;
	if (clone(spin, stack + 8192, CLONE_VM | CLONE_THREAD | CLONE_SIGHAND | CLONE_FS | CLONE_FILES, NULL) < 0)
		return 1;
	printf("ready %d\n", getpid());
	fflush(stdout);
	for (;;) {
		void *code = mmap(NULL, atol(argv[3]), PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, atol(argv[2]));

		munmap(code, atol(argv[3]));
	}
}
