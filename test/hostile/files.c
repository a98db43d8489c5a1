// SPDX-License-Identifier: GPL-2.0
/*
 * files WAY: maps executable a file that cannot be read to its end by a program that identifies it: a "sparse" program
 * of 4 TiB without a build-id, one whose number of "sections" fits the file size, a file with a "lease", a file of a
 * "fuse" server that does not answer, the same through an "overlay"; or keeps its mmap_lock "locked".
 */
#define _GNU_SOURCE
#include <elf.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>

#include "silent.h"

#define HUGE_SIZE (4L << 40)

/* A huge file that starts with the headers of a program. Its contents are a hole. */
static int program(int sections)
{
	int fd = memfd_create("program", 0);
	struct {
		Elf64_Ehdr head;
		Elf64_Phdr prog;
		Elf64_Shdr section;
	} file = {
		.head = { .e_ident = "\177ELF\2\1\1", .e_type = ET_DYN, .e_machine = EM_X86_64, .e_version = 1, .e_phoff = 64,
			.e_ehsize = 64, .e_phentsize = 56, .e_phnum = 1, .e_shentsize = 64 },
		.prog = { .p_type = PT_LOAD, .p_filesz = sections ? 4096 : HUGE_SIZE, .p_memsz = HUGE_SIZE, .p_flags = PF_R | PF_X },
		.section = { .sh_size = 1 << 24 },
	};

	if (sections)
		file.head.e_shoff = offsetof(typeof(file), section);
	if (fd < 0 || write(fd, &file, sizeof(file)) != sizeof(file) || ftruncate(fd, HUGE_SIZE))
		die("memfd");
	return fd;
}

static int leased(void)
{
	int fd, memory = memfd_create("leased", 0);
	char path[64];

	signal(SIGIO, SIG_IGN);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", memory);
	fd = open(path, O_RDWR); /* which counts as opened for writing */
	close(memory);
	if (fd < 0 || ftruncate(fd, 4096) || fcntl(fd, F_SETLEASE, F_WRLCK))
		die("lease");
	return fd;
}

static int overlaid(int *told)
{
	int fd;

	close(silent_file(0, told));
	/* overlayfs needs two lower layers. */
	if (mount("empty", "/dev", "tmpfs", 0, NULL) ||
	    mount("overlay", "/tmp", "overlay", MS_NOSUID | MS_NODEV, "lowerdir=/tmp:/dev"))
		die("overlay");
	fd = open("/tmp/file", O_RDONLY);
	if (fd < 0)
		die("/tmp/file");
	return fd;
}

static void *fault(void *page)
{
	return (void *)(long)*(volatile char *)page;
}

/*
 * One thread waits in a page fault with mmap_lock held for read. Another one waits for it to write, which blocks all
 * other readers.
 */
static void lock(void)
{
	int told, file = silent_file(2, &told);
	void *page = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, file, 0);
	pthread_t thread;
	char byte;

	if (page == MAP_FAILED || pthread_create(&thread, NULL, fault, page) || read(told, &byte, 1) != 1)
		die("lock");
	printf("ready %d\n", getpid());
	fflush(stdout);
	for (;;)
		mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

int main(int argc, char **argv)
{
	const char *way = argc == 2 ? argv[1] : "";
	int fd, told = -1;

	if (!strcmp(way, "sparse") || !strcmp(way, "sections"))
		fd = program(!strcmp(way, "sections"));
	else if (!strcmp(way, "lease"))
		fd = leased();
	else if (!strcmp(way, "overlay"))
		fd = overlaid(&told);
	else if (!strcmp(way, "locked"))
		lock();
	else
		fd = silent_file(0, &told);
	if (mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0) == MAP_FAILED)
		die("mmap");
	printf("ready %d\n", getpid());
	fflush(stdout);
	for (;;)
		pause();
}
