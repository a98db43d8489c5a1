// SPDX-License-Identifier: GPL-2.0
/*
 * lastuser FILE OFFSET LENGTH N: keeps N address spaces that have a patch and no thread left. Each is that of a child
 * that mapped the file like a program, forked, and was killed together with its own child while another process was
 * reading their memory through /proc/PID/mem, from a page that is never read in.
 */
#define _GNU_SOURCE
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "silent.h"

static int file, told;

/* Waits in a read of a page of the file, through the memory of a process. */
static void reader(int pid, const void *at)
{
	char path[64], byte;
	int fd;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	snprintf(path, sizeof(path), "/proc/%d/mem", pid);
	fd = open(path, O_RDONLY);
	if (fd < 0 || pread(fd, &byte, 1, (off_t)at) < 0)
		perror(path);
	pause();
}

static void keep(int pid, const void *at)
{
	char byte;

	if (!fork())
		reader(pid, at);
	if (read(told, &byte, 1) != 1)
		die("the server");
	kill(pid, SIGKILL);
}

/* Each address space waits for its own page: a page that is being read already is not requested again. */
static void victim(const char *path, long offset, long length, int i, int tell)
{
	char *page = mmap(NULL, 8192, PROT_READ, MAP_PRIVATE, file, i * 8192L);
	int pids[2];

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (page == MAP_FAILED ||
	    mmap(NULL, length, PROT_READ | PROT_EXEC, MAP_PRIVATE, open(path, O_RDONLY), offset) == MAP_FAILED)
		die(path);
	pids[0] = getpid();
	pids[1] = fork(); /* with a copy of the patch */
	if (pids[1]) {
		if (write(tell, pids, sizeof(pids)) != sizeof(pids) || write(tell, &page, sizeof(page)) != sizeof(page))
			die("pipe");
	} else {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
	}
	for (;;)
		pause();
}

int main(int argc, char **argv)
{
	int p[2], pids[2];
	char *page;

	if (argc != 5 || pipe(p))
		return 2;
	file = silent_file(0, &told);
	for (int i = 0; i < atoi(argv[4]); i++) {
		if (!fork())
			victim(argv[1], atol(argv[2]), atol(argv[3]), i, p[1]);
		if (read(p[0], pids, sizeof(pids)) != sizeof(pids) || read(p[0], &page, sizeof(page)) != sizeof(page))
			die("pipe");
		keep(pids[1], page);
		keep(pids[0], page + 4096);
	}
	printf("ready %d\n", getpid());
	fflush(stdout);
	for (;;)
		pause();
}
