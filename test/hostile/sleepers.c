// SPDX-License-Identifier: GPL-2.0
/*
 * sleepers THREADS: that many threads sleep, all with the same stack pointer, and 60 MiB of zero pages above it. None
 * of them ever uses its stack. The program obeys "value".
 */
#define _GNU_SOURCE
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define STACK (60UL << 20)

int value(int x);

/* The thread begins at the return from the system call, and must not touch its stack. */
static void sleep_on(char *stack)
{
	const unsigned long flags = CLONE_VM | CLONE_THREAD | CLONE_SIGHAND | CLONE_FS | CLONE_FILES;
	register long tls __asm__("r8") = 0;
	register long child __asm__("r10") = 0;
	long ret = SYS_clone;

	__asm__ volatile("syscall\n\t"
			 "test %%rax, %%rax\n\t"
			 "jnz 2f\n"
			 "1:\tmov %[pause], %%eax\n\t"
			 "syscall\n\t"
			 "jmp 1b\n"
			 "2:"
			 : "+a"(ret)
			 : "D"(flags), "S"(stack), "d"(0), "r"(child), "r"(tls), [pause] "i"(SYS_pause)
			 : "rcx", "r11", "memory");
	if (ret < 0)
		abort();
}

int main(int argc, char **argv)
{
	char *stack = mmap(NULL, STACK, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	char line[64];

	if (argc != 2 || stack == MAP_FAILED)
		return 2;
	madvise(stack, STACK, MADV_NOHUGEPAGE);
	if (madvise(stack, STACK, MADV_POPULATE_READ) || mprotect(stack, STACK, PROT_READ | PROT_WRITE))
		return 1;
	for (int i = 0; i < atoi(argv[1]); i++)
		sleep_on(stack + 8192);
	setvbuf(stdout, NULL, _IOLBF, 4096);
	printf("ready %d\n", getpid());
	while (fgets(line, sizeof(line), stdin))
		printf("value %d\n", value(0));
	return 0;
}
