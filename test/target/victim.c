// SPDX-License-Identifier: GPL-2.0
/*
 * A program to be patched. Its threads call value() all the time and check the result; a right result is
 * argument + 1 (as built) or + 2 (as patched), anything else is counted as wrong.
 *
 *	victim [-t THREADS] [-m spin|sleep|linger|deep] [-c] [-l] [-s] [-f] [-d] [-v]
 *		-m linger  the workers sleep alternately inside and outside of linger(); left counts their returns
 *		-m deep  like sleep, but DEEP pages further down the stacks of the workers
 *		-c  threads are created and ended all the time
 *		-l  mlockall(MCL_CURRENT | MCL_FUTURE)
 *		-s  the main thread enters seccomp's strict mode
 *		-f  a seccomp filter kills the process at any system call except read, write, nanosleep and those that begin a thread
 *		-d  not dumpable
 *		-v  one more worker, in another process that shares the memory (CLONE_VM without CLONE_THREAD)
 *
 * It obeys commands, a line each, on standard input, and answers each with one line on standard output:
 *	value     "value N", N from value(0) called once
 *	straddle  "value N", from straddle(0), a function whose first bytes straddle a page boundary
 *	number    "value N", N the value of the variable number
 *	tight     a thread enters tight() and never leaves; "in"
 *	call ADDR a thread calls the function at that address; "called"
 *	stats     "stats calls N wrong N born N"
 *	dwell     a thread enters dwell() and stays there; "dwelling"
 *	leave     that thread returns; "left"
 *	fork      "child PID", a child with one thread that sleeps and obeys no commands
 *	orphan    "alone", and the main thread exits while the others go on
 *	exec      executes itself again with the same arguments; "ready PID" follows
 *	quit      "bye"
 */
#define _GNU_SOURCE
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int value(int x);
int straddle(int x);
void tight(void);
int number = 1;

/* A thread in here is always past the entry, but inside the bytes that a jump overwrites. */
__asm__(".text\n"
	".globl tight\n"
	".type tight, @function\n"
	"tight: nop\n"
	"1:	pause\n"
	"	jmp 1b\n"
	".size tight, . - tight\n");

/* Its first two bytes are the last ones of a page. */
__asm__(".section .text.straddle, \"ax\", @progbits\n"
	".balign 4096\n"
	".skip 4094\n"
	".globl straddle\n"
	".type straddle, @function\n"
	"straddle: leal 1(%rdi), %eax\n"
	"	nopl 0(%rax)\n"
	"	ret\n"
	".size straddle, . - straddle\n"
	".text\n");

/* The tests read these through /proc/PID/mem while the program is stopped. */
atomic_ulong calls, wrong, born;

atomic_ulong left;
#define DEEP 8

static int sleeping, spins = 2000;
static pthread_mutex_t room = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t moved = PTHREAD_COND_INITIALIZER;
static int dwelling;
static atomic_int calling;

static void check_value(int x)
{
	int got = value(x);

	if (got != x + 1 && got != x + 2)
		atomic_fetch_add(&wrong, 1);
	atomic_fetch_add_explicit(&calls, 1, memory_order_relaxed);
}

/* Spends nearly all of its time outside of value(). */
static void work(int x)
{
	struct timespec nap = { .tv_nsec = 2000000 };

	for (volatile int i = 0; i < spins; i++)
		;
	check_value(x);
	if (sleeping)
		nanosleep(&nap, NULL);
}

static void *worker(void *arg)
{
	for (int x = (int)(long)arg;; x++)
		work(x & 0xffff);
	return NULL;
}

/*
 * Sleeps without a library function, so that the stack search begins in the caller's frame: words that calls left on
 * the stack below are not searched.
 */
static inline __attribute__((always_inline)) void nap_here(long ns)
{
	struct timespec nap = { .tv_nsec = ns };
	long ret;

	__asm__ volatile("syscall" : "=a"(ret) : "a"(SYS_nanosleep), "D"(&nap), "S"(NULL) : "rcx", "r11", "memory");
}

__attribute__((noinline)) void linger(void)
{
	nap_here(100000000);
	atomic_fetch_add(&left, 1);
}

static void *lingerer(void *arg)
{
	for (;;) {
		nap_here(200000000 + 37000000 * (long)arg); /* out of step with each other */
		linger();
	}
	return arg;
}

static void *diver(void *arg)
{
	volatile char frame[DEEP * 4096];

	for (size_t at = 0; at < sizeof(frame); at += 4096)
		frame[at] = 1;
	for (int x = (int)(long)arg;; x++) {
		check_value(x & 0xffff);
		nap_here(2000000);
	}
	return arg;
}

static int sharer(void *arg)
{
	worker(arg);
	return 0;
}

static void *caller(void *arg)
{
	atomic_store(&calling, 1);
	((void (*)(void))arg)();
	return NULL;
}

static void *mayfly(void *arg)
{
	check_value((int)(long)arg);
	atomic_fetch_add(&born, 1);
	return NULL;
}

static void *churn(void *arg)
{
	pthread_t t[4];

	for (;;) {
		for (long i = 0; i < 4; i++)
			if (pthread_create(&t[i], NULL, mayfly, (void *)i))
				abort();
		for (int i = 0; i < 4; i++)
			pthread_join(t[i], NULL);
	}
	return arg;
}

__attribute__((noinline)) static void dwell(void)
{
	pthread_mutex_lock(&room);
	dwelling = 1;
	pthread_cond_broadcast(&moved);
	while (dwelling == 1)
		pthread_cond_wait(&moved, &room);
	dwelling = 0;
	pthread_cond_broadcast(&moved);
	pthread_mutex_unlock(&room);
}

static void *dweller(void *arg)
{
	dwell();
	return arg;
}

static void set_dwelling(int from, int to)
{
	pthread_mutex_lock(&room);
	while (dwelling != from)
		pthread_cond_wait(&moved, &room);
	if (to >= 0)
		dwelling = to;
	pthread_cond_broadcast(&moved);
	pthread_mutex_unlock(&room);
}

static void start(void *(*fn)(void *), long arg)
{
	pthread_attr_t attr;
	pthread_t t;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 64 << 10);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	if (pthread_create(&t, &attr, fn, (void *)arg)) {
		perror("victim: pthread_create");
		exit(1);
	}
	pthread_attr_destroy(&attr);
}

/* Returns when the thread is about to call the function. */
static void call(long function)
{
	atomic_store(&calling, 0);
	start(caller, function);
	while (!atomic_load(&calling))
		sched_yield();
}

static void obey(const char *command, char **argv)
{
	if (!strcmp(command, "value")) {
		printf("value %d\n", value(0));
	} else if (!strcmp(command, "straddle")) {
		printf("value %d\n", straddle(0));
	} else if (!strcmp(command, "number")) {
		printf("value %d\n", *(volatile int *)&number);
	} else if (!strcmp(command, "tight")) {
		call((long)tight);
		puts("in");
	} else if (!strncmp(command, "call ", 5)) {
		call(strtol(command + 5, NULL, 0));
		puts("called");
	} else if (!strcmp(command, "stats")) {
		printf("stats calls %lu wrong %lu born %lu\n", atomic_load(&calls), atomic_load(&wrong),
		       atomic_load(&born));
	} else if (!strcmp(command, "dwell")) {
		start(dweller, 0);
		set_dwelling(1, -1);
		puts("dwelling");
	} else if (!strcmp(command, "leave")) {
		set_dwelling(1, 2);
		set_dwelling(0, -1);
		puts("left");
	} else if (!strcmp(command, "fork")) {
		pid_t pid = fork();

		if (!pid)
			for (;;)
				pause();
		printf("child %d\n", pid);
	} else if (!strcmp(command, "orphan")) {
		puts("alone");
		pthread_exit(NULL);
	} else if (!strcmp(command, "exec")) {
		execv("/proc/self/exe", argv);
		perror("victim: execv");
	} else if (!strcmp(command, "quit")) {
		puts("bye");
		exit(0);
	} else {
		printf("what is %s?\n", command);
	}
}

/*
 * Sets the filter for all threads. Some may not have made the system calls yet that the C library begins a thread with.
 */
static int filter(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0), /* seccomp_data.nr */
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_read, 6, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_write, 5, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_rseq, 4, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_set_robust_list, 3, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_rt_sigprocmask, 2, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clock_nanosleep, 1, 0),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { .len = sizeof(code) / sizeof(code[0]), .filter = code };

	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	       syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program);
}

int main(int argc, char **argv)
{
	static char line[64], in[4096], out[4096]; /* no allocation in strict mode */
	void *(*work_fn)(void *) = worker;
	int threads = 0, churning = 0, strict = 0, filtered = 0, sharing = 0, opt;

	while ((opt = getopt(argc, argv, "t:m:clsfdv")) != -1) {
		switch (opt) {
		case 't':
			threads = atoi(optarg);
			break;
		case 'm':
			sleeping = !strcmp(optarg, "sleep");
			if (!strcmp(optarg, "linger"))
				work_fn = lingerer;
			else if (!strcmp(optarg, "deep"))
				work_fn = diver;
			break;
		case 'c':
			churning = 1;
			break;
		case 'l':
			if (mlockall(MCL_CURRENT | MCL_FUTURE)) {
				perror("victim: mlockall");
				return 1;
			}
			break;
		case 's':
			strict = 1;
			break;
		case 'f':
			filtered = 1;
			break;
		case 'd':
			if (prctl(PR_SET_DUMPABLE, 0)) {
				perror("victim: prctl");
				return 1;
			}
			break;
		case 'v':
			sharing = 1;
			break;
		default:
			return 2;
		}
	}
	setvbuf(stdin, in, _IOFBF, sizeof(in));
	setvbuf(stdout, out, _IOLBF, sizeof(out));
	/* With many running threads, one of them would be in value() at any moment. */
	if (!sleeping && threads > 16)
		spins *= threads / 16;
	for (long i = 0; i < threads; i++)
		start(work_fn, i);
	for (int i = 0; churning && i < 4; i++)
		start(churn, 0);
	if (sharing && clone(sharer, malloc(64 << 10) + (64 << 10), CLONE_VM | SIGCHLD, NULL) < 0) {
		perror("victim: clone");
		return 1;
	}
	printf("ready %d\n", getpid());
	if ((strict && prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT)) || (filtered && filter())) {
		perror("victim: prctl");
		return 1;
	}
	while (fgets(line, sizeof(line), stdin)) {
		line[strcspn(line, "\n")] = '\0';
		obey(line, argv);
	}
	return 0;
}
