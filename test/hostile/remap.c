// SPDX-License-Identifier: GPL-2.0
/*
 * A thread forks, and unmaps, maps, moves and protects the code of a library and every mapping of a file called raw,
 * all the time. Another thread reads the first bytes of the library's value(), and counts how often they are neither
 * the old bytes nor a jump. No thread calls the function. The program also maps its own memory in place of the patch
 * and checks it: a load of the patch must not write there. It obeys "stop", which reports the counters.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <fcntl.h>
#include <unistd.h>

#define JUMP 5

int value(int x);

struct mapping {
	char *at;
	size_t len;
	long offset;
	char path[256];
};

static atomic_int stopping;
static atomic_long rounds, looks, torn, spoilt;
static unsigned char old[JUMP];

/* Finds a mapping of a file whose path contains the name. */
static int find(const char *name, const char *prot, struct mapping *m)
{
	FILE *maps = fopen("/proc/self/maps", "r");
	unsigned long start, end;
	char line[512], rights[8];
	int found = 0;

	while (!found && maps && fgets(line, sizeof(line), maps)) {
		m->path[0] = 0;
		if (sscanf(line, "%lx-%lx %7s %lx %*s %*s %255s", &start, &end, rights, &m->offset, m->path) < 4)
			continue;
		found = strstr(m->path, name) && !strncmp(rights, prot, strlen(prot));
		m->at = (char *)start;
		m->len = end - start;
	}
	if (maps)
		fclose(maps);
	return found;
}

static void fork_once(void)
{
	int pid = fork();

	if (!pid)
		_exit(0);
	if (pid > 0)
		waitpid(pid, NULL, 0);
}

static void disturb_library(const struct mapping *m, int fd, unsigned int how)
{
	char *away;

	switch (how) {
	case 0:
		mprotect(m->at, m->len, PROT_READ | PROT_WRITE);
		break;
	case 1:
		mprotect(m->at, m->len, PROT_NONE);
		break;
	case 2:
		madvise(m->at, m->len, MADV_DONTNEED);
		break;
	case 3:
		away = mmap(NULL, m->len, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		mremap(m->at, m->len, m->len, MREMAP_MAYMOVE | MREMAP_FIXED, away);
		mremap(away, m->len, m->len, MREMAP_MAYMOVE | MREMAP_FIXED, m->at);
		break;
	case 4:
		mmap(m->at, m->len, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_FIXED, fd, m->offset);
		break;
	default:
		munmap(m->at, m->len);
		mmap(m->at, m->len, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_FIXED, fd, m->offset);
	}
	mprotect(m->at, m->len, PROT_READ | PROT_EXEC);
}

/* Maps its own memory in place of the patch, and checks that it does not change. */
static void cover(const struct mapping *m)
{
	unsigned char *own = mmap(m->at, m->len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);

	if (own == MAP_FAILED)
		return;
	memset(own, 0x5a, m->len);
	usleep(5000);
	for (size_t i = 0; i < m->len; i++) {
		if (own[i] == 0x5a)
			continue;
		atomic_fetch_add(&spoilt, 1);
		break;
	}
	munmap(own, m->len);
}

static void disturb_patch(unsigned int how)
{
	struct mapping m;

	if (!find("/raw", how < 4 ? "" : "rw", &m))
		return;
	switch (how) {
	case 0:
		mprotect(m.at, m.len, PROT_NONE);
		break;
	case 1:
		mprotect(m.at, m.len, PROT_READ | PROT_WRITE);
		break;
	case 2:
		munmap(m.at, m.len);
		break;
	case 3:
		mremap(m.at, m.len, m.len, MREMAP_MAYMOVE | MREMAP_FIXED,
		       mmap(NULL, m.len, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
		break;
	default:
		cover(&m);
	}
}

static void *disturb(void *arg)
{
	const struct mapping *m = arg;
	int fd = open(m->path, O_RDONLY);

	for (unsigned int i = 0; !atomic_load(&stopping); i++) {
		disturb_library(m, fd, rand() % 6);
		if (i % 8 == 0)
			disturb_patch(rand() % 8);
		if (i % 32 == 0)
			fork_once();
		atomic_fetch_add(&rounds, 1);
		usleep(rand() % 2000);
	}
	return NULL;
}

/*
 * The kernel reads the bytes, which are in one page. So an address that is not mapped is an error rather than a signal.
 */
static void *look(void *unused)
{
	unsigned char now[JUMP];
	struct iovec to = { now, JUMP }, from = { (void *)value, JUMP };

	while (!atomic_load(&stopping)) {
		if (process_vm_readv(getpid(), &to, 1, &from, 1, 0) != JUMP)
			continue;
		atomic_fetch_add(&looks, 1);
		if (!memcmp(now, old, JUMP) || (now[0] == 0xe9 && memcmp(now + 1, old + 1, JUMP - 1)))
			continue;
		atomic_fetch_add(&torn, 1);
	}
	return unused;
}

int main(void)
{
	static struct mapping library;
	pthread_t threads[2];
	char line[64];

	if (!find("libvalue", "r-x", &library))
		return 1;
	memcpy(old, (void *)value, JUMP);
	setvbuf(stdout, NULL, _IOLBF, 4096);
	printf("ready %d\n", getpid());
	if (pthread_create(&threads[0], NULL, disturb, &library) || pthread_create(&threads[1], NULL, look, NULL))
		return 1;
	while (fgets(line, sizeof(line), stdin)) {
		atomic_store(&stopping, 1);
		pthread_join(threads[0], NULL);
		pthread_join(threads[1], NULL);
		printf("stopped rounds %ld looks %ld torn %ld spoilt %ld\n", rounds, looks, torn, spoilt);
	}
	_exit(0);
}
