// SPDX-License-Identifier: GPL-2.0
/*
 * A program whose threads are in the function outer() in many ways. They wait without calling a library function, so
 * that nothing on their stacks or in their registers refers to outer() except as described for the way.
 *
 * It obeys commands, a line each, on standard input, and answers each with one line on standard output:
 *	value        "value N", N from value(0) called once
 *	enter HOW    a thread named HOW does what is described below, and waits for leave; "in TID"
 *	  plain        sleeps, with an address inside outer() on its stack
 *	  spin         executes outer()
 *	  register     has an address inside outer() in a register
 *	  deep         sleeps with 8 MiB of stack between it and outer()
 *	  split        the same, with a page in between that makes three mappings of the stack
 *	  tiny         has a stack of 16 KiB in the middle of the heap
 *	  huge         has a stack in a mapping that goes on for 256 MiB
 *	  lost         the same, with no thread control block at the end of the stack
 *	  signal       sleeps in a signal handler that interrupted outer(): the address is in the signal frame only
 *	  alternate    is in a handler on an alternate stack, and in outer() on its normal stack
 *	  disarmed     the same, with SS_AUTODISARM
 *	  vfork        the child of vfork() is in outer(), and its parent waits
 *	  process      another process that shares the memory is in outer()
 *	  fault        executes the load in peek(), from a missing page (userfaultfd)
 *	  restart      sleeps in the system call of again(), which a signal restarts
 *	  deepspin     spins with 8 MiB of stack in use, outside of outer()
 *	  hugeaway     like huge, outside of outer()
 *	  heapaway     in inner() outside of outer(), its stack below a heap of addresses of outer()
 *	  alike        outside of outer(), with words on its stack that resemble an alternate signal stack
 *	  fifo         a thread for each processor spins with SCHED_FIFO 99, outside of outer(), and rests 250 ms in 4 s
 *	  vhost        has a worker of vhost-net
 *	  uring        an io_uring with a polling thread and a worker that waits in read()
 *	hide WHAT    drops a page, which is missing until show (userfaultfd); "hidden ADDRESS"
 *	  lonely       the page of the variable lonely, which no code uses
 *	  stack        one that the thread that entered deep does not use
 *	show         "shown"
 *	peek         "peek N" from peek() called once, 1 as built
 *	leave        all waiting threads go on; "left", or "late" if a wait ended early or failed
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/futex.h>
#include <linux/io_uring.h>
#include <linux/userfaultfd.h>
#include <linux/vhost.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#ifndef SS_AUTODISARM
#define SS_AUTODISARM (1U << 31)
#endif

#define PAGE 4096UL
#define DEPTH (8UL << 20)
#define HUGE (256UL << 20)
#define HEAP (1UL << 20)

int value(int x);
void outer(void (*next)(void));
void inner(void);
int peek(int *p);
long again(int fd, char *byte, unsigned long one);

static atomic_int arrived, leaving, running, late;
static atomic_int tid;
static int faults = -1;
static char *missing;
static char *_Atomic deepest;
static char *hidden;
static int split;
static int feed[2];
char lonely[PAGE] __attribute__((aligned(PAGE)));

static void await(atomic_int *word, int least)
{
	while (atomic_load(word) < least)
		sched_yield();
}

static inline __attribute__((always_inline)) void nap_until_leave(void)
{
	register long timeout __asm__("r10") = 0;
	long ret;

	while (!atomic_load(&leaving))
		__asm__ volatile("syscall"
				 : "=a"(ret)
				 : "a"(SYS_futex), "D"(&leaving), "S"(FUTEX_WAIT), "d"(0), "r"(timeout)
				 : "rcx", "r11", "memory");
}

/* A probe can be placed on its first instruction, which would have a lock prefix without the nop. */
__attribute__((noinline)) void inner(void)
{
	__asm__ volatile("nop");
	atomic_fetch_add(&arrived, 1);
	nap_until_leave();
}

__attribute__((noinline)) static void spin(void)
{
	atomic_fetch_add(&arrived, 1);
	while (!atomic_load(&leaving))
		__builtin_ia32_pause();
}

/* Spins if @next is NULL. */
__attribute__((noinline)) void outer(void (*next)(void))
{
	if (next)
		next();
	else
		atomic_fetch_add(&arrived, 1);
	while (!atomic_load(&leaving))
		__builtin_ia32_pause();
}

/* Its first instructions have room for a jump. A probe on the load executes it out of line. */
__asm__(".text\n"
	".globl peek, peek_load\n"
	".type peek, @function\n"
	"peek:	nopl 0(%rax, %rax)\n"
	"	nopl 0(%rax, %rax)\n"
	"peek_load:\n"
	"	movl (%rdi), %eax\n"
	"	ret\n"
	".size peek, . - peek\n");

/* read(), with the syscall instruction in the last two of the five bytes that a jump overwrites. */
__asm__(".text\n"
	".globl again\n"
	".type again, @function\n"
	"again:	xorl %eax, %eax\n"
	"	nop\n"
	"	syscall\n"
	"	ret\n"
	".size again, . - again\n");

/* A page in the middle of the deep stack. */
static char *middle(void)
{
	return (char *)(((unsigned long)deepest + DEPTH / 2) & -PAGE);
}

__attribute__((noinline)) static void deep(void)
{
	volatile char below[DEPTH];

	for (unsigned long i = 0; i < DEPTH; i += PAGE)
		below[i] = 1;
	atomic_store(&deepest, (char *)below);
	if (split && madvise(middle(), PAGE, MADV_DONTDUMP))
		abort();
	inner();
	below[0]++;
}

__attribute__((noinline)) static void spin_deep(void)
{
	volatile char below[DEPTH];

	for (unsigned long i = 0; i < DEPTH; i += PAGE)
		below[i] = 1;
	atomic_fetch_add(&arrived, 1);
	while (!atomic_load(&leaving))
		below[0]++;
}

/* Like the words of a stack_t, except for the size, which no stack has. */
__attribute__((noinline)) static void alike(void)
{
	volatile unsigned long words[3] = { 1, 1UL << 31, -1UL >> 1 };

	inner();
	words[0]++;
}

static void hold_in_register(void)
{
	register void *inside __asm__("rbx") = (char *)outer + 8;

	__asm__ volatile("" : "+r"(inside));
	inner();
	__asm__ volatile("" : "+r"(inside));
}

static void handler(int sig)
{
	(void)sig;
	inner();
}

static void interrupted(unsigned int flags, int alternate)
{
	stack_t stack = { .ss_sp = malloc(64 << 10), .ss_size = 64 << 10, .ss_flags = (int)flags };

	if (alternate && sigaltstack(&stack, NULL))
		abort();
	outer(alternate ? spin : NULL);
}

static void restart(void)
{
	char byte = 0;

	atomic_fetch_add(&arrived, 1);
	if (again(feed[0], &byte, 1) != 1 || byte != 'x')
		atomic_store(&late, 1);
}

static void child(void)
{
	if (!vfork()) {
		atomic_store(&tid, getpid());
		outer(inner);
		_exit(0);
	}
}

static void fault(void)
{
	peek((int *)missing);
}

/*
 * They rest at the same time, so that other threads get to read the command leave. The kernel does not always let those
 * run otherwise, even with the fair server of 6.12.
 */
static void *spin_fifo(void *cpu)
{
	struct sched_param param = { .sched_priority = 99 };
	struct timespec now;
	cpu_set_t set;
	int got;

	CPU_ZERO(&set);
	CPU_SET((unsigned long)cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		abort();
	atomic_fetch_add(&arrived, 1);
	await(&arrived, 1 + sysconf(_SC_NPROCESSORS_ONLN));
	if (sched_setscheduler(0, SCHED_FIFO, &param))
		abort();
	do {
		got = value(1);
		if (got != 2 && got != 3)
			abort();
		clock_gettime(CLOCK_MONOTONIC, &now);
		if (now.tv_sec % 4 == 0 && now.tv_nsec < 250000000) {
			now.tv_nsec = 250000000;
			clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &now, NULL);
		}
	} while (!atomic_load(&leaving));
	atomic_fetch_sub(&running, 1);
	return NULL;
}

static void start_fifo(void)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	pthread_t t;

	for (long i = 0; i < cpus; i++) {
		atomic_fetch_add(&running, 1);
		if (pthread_create(&t, NULL, spin_fifo, (void *)i))
			abort();
	}
	await(&arrived, (int)cpus);
	puts("in 0");
	atomic_fetch_add(&arrived, 1); /* from here on this thread gets the CPU time that they leave */
}

static struct {
	int fd, pipe[2];
	struct io_uring_params p;
	char *ring, byte;
} uring;

static atomic_uint *uring_word(unsigned int offset)
{
	return (atomic_uint *)(uring.ring + offset);
}

/* Starts one read from an empty pipe, in a worker. */
static void start_uring(void)
{
	struct io_uring_sqe *sqes;

	uring.p.flags = IORING_SETUP_SQPOLL;
	uring.p.sq_thread_idle = 60000;
	uring.fd = (int)syscall(SYS_io_uring_setup, 4, &uring.p);
	if (uring.fd < 0 || pipe(uring.pipe)) {
		perror("stacks: io_uring_setup");
		abort();
	}
	uring.ring = mmap(NULL, uring.p.cq_off.cqes + uring.p.cq_entries * sizeof(struct io_uring_cqe),
			  PROT_READ | PROT_WRITE, MAP_SHARED, uring.fd, IORING_OFF_SQ_RING);
	sqes = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, uring.fd, IORING_OFF_SQES);
	if (uring.ring == MAP_FAILED || sqes == MAP_FAILED)
		abort();
	sqes[0] = (struct io_uring_sqe){ .opcode = IORING_OP_READ, .flags = IOSQE_ASYNC, .fd = uring.pipe[0],
					 .addr = (unsigned long)&uring.byte, .len = 1 };
	atomic_store(uring_word(uring.p.sq_off.array), 0);
	atomic_store(uring_word(uring.p.sq_off.tail), 1);
	while (!atomic_load(uring_word(uring.p.sq_off.head)))
		syscall(SYS_io_uring_enter, uring.fd, 0, 0, IORING_ENTER_SQ_WAKEUP, NULL, 0);
	puts("in 0");
}

/* The worker lives until the process exits. */
static void start_vhost(void)
{
	int fd = open("/dev/vhost-net", O_RDWR);

	if (fd < 0 || ioctl(fd, VHOST_SET_OWNER)) {
		perror("stacks: /dev/vhost-net");
		abort();
	}
	puts("in 0");
}

static void finish_uring(void)
{
	struct io_uring_cqe *cqe = (struct io_uring_cqe *)(uring.ring + uring.p.cq_off.cqes);

	if (atomic_load(uring_word(uring.p.cq_off.tail)) || write(uring.pipe[1], "x", 1) != 1)
		atomic_store(&late, 1);
	await((atomic_int *)uring_word(uring.p.cq_off.tail), 1);
	if (cqe->res != 1 || uring.byte != 'x')
		atomic_store(&late, 1);
	close(uring.fd);
}

static void enter(const char *how)
{
	prctl(PR_SET_NAME, how);
	atomic_store(&tid, (int)syscall(SYS_gettid));
	split = !strcmp(how, "split");
	if (!strcmp(how, "spin"))
		outer(NULL);
	else if (!strcmp(how, "register"))
		hold_in_register();
	else if (!strcmp(how, "deep") || !strcmp(how, "split"))
		outer(deep);
	else if (!strcmp(how, "signal"))
		interrupted(0, 0);
	else if (!strcmp(how, "alternate"))
		interrupted(0, 1);
	else if (!strcmp(how, "disarmed"))
		interrupted(SS_AUTODISARM, 1);
	else if (!strcmp(how, "vfork"))
		child();
	else if (!strcmp(how, "fault"))
		fault();
	else if (!strcmp(how, "restart"))
		restart();
	else if (!strcmp(how, "deepspin"))
		spin_deep();
	else if (!strcmp(how, "hugeaway") || !strcmp(how, "heapaway"))
		inner();
	else if (!strcmp(how, "alike"))
		alike();
	else
		outer(inner);
	atomic_fetch_sub(&running, 1);
}

static void *thread(void *how)
{
	enter(how);
	return NULL;
}

static int process(void *how)
{
	enter(how);
	_exit(0);
}

static char *map(unsigned long size)
{
	char *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED)
		abort();
	return p;
}

/* The C library puts the thread control block at the end of the stack that it is given. */
static char *map_below_heap(unsigned long stack)
{
	char *p = map(HEAP);

	for (unsigned long at = stack; at < HEAP; at += sizeof(char *))
		*(char **)(p + at) = (char *)outer + 8;
	return p;
}

static void start_process(char *how, char *stack)
{
	if (clone(process, stack + (64 << 10), CLONE_VM | SIGCHLD, how) < 0)
		abort();
}

static void start_thread(char *how)
{
	pthread_attr_t attr;
	pthread_t t;
	int ret = 0;

	pthread_attr_init(&attr);
	if (!strcmp(how, "tiny"))
		ret = pthread_attr_setstack(&attr, (char *)(((unsigned long)malloc(96 << 10) + 32767) & -16384UL), 16384);
	else if (!strncmp(how, "huge", 4))
		ret = pthread_attr_setstack(&attr, map(HUGE), 64 << 10);
	else if (!strcmp(how, "heapaway"))
		ret = pthread_attr_setstack(&attr, map_below_heap(64 << 10), 64 << 10);
	else
		ret = pthread_attr_setstacksize(&attr, DEPTH + (1 << 20));
	if (ret || pthread_create(&t, &attr, thread, how))
		abort();
	pthread_attr_destroy(&attr);
}

static void begin(char *how)
{
	struct uffd_msg msg;

	atomic_store(&arrived, 0);
	atomic_store(&leaving, 0);
	if (!strcmp(how, "fifo")) {
		start_fifo();
		return;
	}
	if (!strcmp(how, "uring")) {
		start_uring();
		return;
	}
	if (!strcmp(how, "vhost")) {
		start_vhost();
		return;
	}
	if (!strcmp(how, "restart") && pipe(feed))
		abort();
	atomic_fetch_add(&running, 1);
	if (!strcmp(how, "process"))
		start_process(how, malloc(64 << 10));
	else if (!strcmp(how, "lost"))
		start_process(how, map(HUGE));
	else
		start_thread(how);
	if (!strcmp(how, "fault")) {
		if (read(faults, &msg, sizeof(msg)) != sizeof(msg))
			abort();
	} else {
		await(&arrived, 1);
	}
	if (!strcmp(how, "signal") || !strcmp(how, "alternate") || !strcmp(how, "disarmed")) {
		syscall(SYS_tgkill, getpid(), atomic_load(&tid), SIGUSR1);
		await(&arrived, 2);
	}
	printf("in %d\n", atomic_load(&tid));
}

static void leave(void)
{
	struct uffdio_zeropage zero = { .range = { .start = (unsigned long)missing, .len = PAGE } };

	atomic_store(&leaving, 1);
	syscall(SYS_futex, &leaving, FUTEX_WAKE, 1000);
	ioctl(faults, UFFDIO_ZEROPAGE, &zero);
	if (feed[1] && write(feed[1], "x", 1) != 1)
		atomic_store(&late, 1);
	if (uring.ring)
		finish_uring();
	while (atomic_load(&running))
		sched_yield();
	puts(atomic_load(&late) ? "late" : "left");
}

static int watch(char *page)
{
	struct uffdio_register range = {
		.range = { .start = (unsigned long)page, .len = PAGE }, .mode = UFFDIO_REGISTER_MODE_MISSING,
	};

	return ioctl(faults, UFFDIO_REGISTER, &range);
}

static int prepare_faults(void)
{
	struct uffdio_api api = { .api = UFFD_API };

	missing = map(PAGE);
	faults = (int)syscall(SYS_userfaultfd, 0);
	return faults < 0 || ioctl(faults, UFFDIO_API, &api) || watch(missing);
}

static void hide(const char *what)
{
	hidden = strcmp(what, "stack") ? lonely : middle();
	if (watch(hidden) || madvise(hidden, PAGE, MADV_DONTNEED))
		abort();
	printf("hidden %p\n", (void *)hidden);
}

static void show(void)
{
	struct uffdio_zeropage zero = { .range = { .start = (unsigned long)hidden, .len = PAGE } };

	if (ioctl(faults, UFFDIO_ZEROPAGE, &zero) || ioctl(faults, UFFDIO_UNREGISTER, &zero.range))
		abort();
	puts("shown");
}

int main(void)
{
	struct sigaction action = { .sa_handler = handler, .sa_flags = SA_ONSTACK | SA_RESTART };
	static char line[64];
	static int one = 1;

	signal(SIGCHLD, SIG_IGN);
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (sigaction(SIGUSR1, &action, NULL) || prepare_faults()) {
		perror("stacks");
		return 1;
	}
	printf("ready %d\n", getpid());
	while (fgets(line, sizeof(line), stdin)) {
		line[strcspn(line, "\n")] = '\0';
		if (!strcmp(line, "value"))
			printf("value %d\n", value(0));
		else if (!strcmp(line, "peek"))
			printf("peek %d\n", peek(&one));
		else if (!strncmp(line, "hide ", 5))
			hide(line + 5);
		else if (!strcmp(line, "show"))
			show();
		else if (!strncmp(line, "enter ", 6))
			begin(strdup(line + 6));
		else if (!strcmp(line, "leave"))
			leave();
		else
			printf("what is %s?\n", line);
	}
	return 0;
}
