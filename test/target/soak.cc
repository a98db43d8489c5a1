// SPDX-License-Identifier: GPL-2.0
/*
 * A program that does everything that a program may do while it is patched, and checks its own results all the time.
 *
 *	soak [-t THREADS]
 *
 * Its threads call the functions of parts.cc, which are patched and restored meanwhile. In between they sleep, send and
 * handle signals (some on alternate stacks), throw and catch C++ exceptions, create threads, fork, spawn this program
 * again and wait for it. They check what lpatch guarantees:
 *
 *	- one call of tally(), with the left() and right() that it calls, is of one version, that of the program or of a
 *	  patch, and never a mixture, however long it takes;
 *	- lone() is of one version;
 *	- a thread keeps its registers, stack, red zone, errno and floating-point modes;
 *	- exceptions, threads, children and their exit statuses are as they would be without patches.
 *
 * Two consecutive calls may be of different versions. That is not checked.
 *
 * It prints "ready PID", and "error …" for each wrong result. Commands, a line each, on standard input:
 *	census ID	"census ID N tally OLD SEVERAL THIRD lone OLD LONE THIRD": how many of the N threads got which version
 *			from calls that began after the command
 *	exec		executes itself again with the same arguments; "ready PID" follows
 *	quit		"bye checks N wrong N"
 */
#include <atomic>
#include <cerrno>
#include <cfenv>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdexcept>
#include <string>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <vector>

#include "parts.h"

extern char **environ;

namespace {

constexpr long ms = 1000000;

/* Version of a call: 0 for the old code, 1 for patch several or lone, 2 for patch third. */
constexpr int WRONG = 3;

/* What a thread got from calls that began in an epoch. */
struct slot {
	std::atomic<long> epoch{ 0 };
	std::atomic<int> tally{ 0 }, lone{ 0 };
	pthread_t thread;
};

std::vector<slot> *slots;
std::atomic<long> epoch{ 0 }, checks{ 0 }, wrong{ 0 };
std::atomic<bool> complete; /* all threads are created */
std::atomic<bool> executing; /* from then on, clone() of a thread fails with EAGAIN: copy_fs() of the kernel, fs->in_exec */

/* Writes one line with one write(), so that nothing is lost or interleaved, even in a child of a fork. */
__attribute__((format(printf, 1, 2))) void complain(const char *format, ...)
{
	char line[512];
	va_list args;
	int n, m;

	if (wrong.fetch_add(1) > 20)
		return;
	n = snprintf(line, sizeof(line), "error [%d/%d] ", getpid(), gettid());
	va_start(args, format);
	m = vsnprintf(line + n, sizeof(line) - n - 1, format, args);
	va_end(args);
	n = std::min(n + m, (int)sizeof(line) - 2);
	line[n] = '\n';
	if (write(1, line, n + 1) < 0)
		_exit(3);
}

/* Sleeps without a library function, whose remains on the stack could be mistaken for a call in progress. */
inline __attribute__((always_inline)) void nap(long ns)
{
	struct timespec t = { ns / (1000 * ms), ns % (1000 * ms) };
	long ret;

	__asm__ volatile("syscall" : "=a"(ret) : "a"(SYS_nanosleep), "D"(&t), "S"(NULL) : "rcx", "r11", "memory");
}

/* Overwrites what earlier calls left on the stack, before a library function that sleeps. */
__attribute__((noipa)) void wipe()
{
	char below[4096];

	memset(below, 0, sizeof(below));
	__asm__ volatile("" : : "r"(below) : "memory");
}

thread_local unsigned long random_state;

long random_below(long n)
{
	random_state = random_state * 6364136223846793005UL + 1442695040888963407UL;
	return (random_state >> 33) % n;
}

void nothing()
{
}

/* Long enough for a patch to be applied meanwhile, if lpatch did not prevent that. */
void pause_between()
{
	nap(ms);
}

void pause_long()
{
	nap(20 * ms);
}

int check_tally(long x, void (*between)())
{
	static const long factors[] = { 7, 11, 13 };
	static const char *const names[] = { "old", "several", "third" };
	long got = tally(++x, between); /* start at 1: at 0 two mixtures give the same number */

	for (int v = 0; v < 3; v++)
		if (got == factors[v] * (3 * x + v + 1) + 5 * x + v + 1)
			return v;
	for (int l = 0; l < 3; l++)
		for (int r = 0; r < 3; r++)
			for (int t = 0; t < 3; t++)
				if (got == factors[t] * (3 * x + l + 1) + 5 * x + r + 1)
					complain("tally(%ld) is mixed: tally %s, left %s, right %s", x, names[t], names[l], names[r]);
	complain("tally(%ld) = %ld", x, got);
	return WRONG;
}

int check_lone(long x)
{
	long v = lone(x) - (4 * x + 1);

	if (v >= 0 && v < WRONG)
		return v;
	complain("lone(%ld) = %ld, want %ld to %ld", x, v + 4 * x + 1, 4 * x + 1, 4 * x + 3);
	return WRONG;
}

/*
 * Fills all registers and the red zone, loops for a while in user mode, where a gate may stop it, and counts what
 * changed. rdi: iterations.
 */
extern "C" long spin_registers(long turns);
__asm__(".text\n"
	".globl spin_registers\n"
	".type spin_registers, @function\n"
	"spin_registers:\n"
	"	push %rbx\n	push %rbp\n	push %r12\n	push %r13\n	push %r14\n	push %r15\n"
	"	mov %rdi, %rcx\n"
	"	mov $0x1111111122222222, %rax\n"
	"	lea 1(%rax), %rbx\n	lea 2(%rax), %rdx\n	lea 3(%rax), %rsi\n	lea 4(%rax), %rdi\n"
	"	lea 5(%rax), %rbp\n	lea 8(%rax), %r8\n	lea 9(%rax), %r9\n	lea 10(%rax), %r10\n"
	"	lea 11(%rax), %r11\n	lea 12(%rax), %r12\n	lea 13(%rax), %r13\n	lea 14(%rax), %r14\n"
	"	lea 15(%rax), %r15\n"
	".irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n"
	"	movq %rax, %xmm\\n\n	punpcklqdq %xmm\\n, %xmm\\n\n	pslld $\\n, %xmm\\n\n"
	".endr\n"
	".irp n, 8,16,24,32,40,48,56,64,72,80,88,96,104,112,120,128\n"
	"	movq %rbx, -\\n(%rsp)\n"
	".endr\n"
	"	fldpi\n"
	"	stc\n"
	"1:	dec %rcx\n	jnz 1b\n"
	"	setnc %cl\n	movzbl %cl, %ecx\n" /* dec leaves the carry flag as it is */
	"	push %rcx\n	xor %ecx, %ecx\n" /* the count, on the stack: all else is compared */
	".irp n, 16,24,32,40,48,56,64,72,80,88,96,104,112,120\n" /* 8 bytes further: of the push */
	"	cmp %rbx, -\\n+8(%rsp)\n	setne %cl\n	add %rcx, (%rsp)\n"
	".endr\n"
	"	fldpi\n	fcomip %st(1), %st\n	setne %cl\n	add %rcx, (%rsp)\n	fstp %st(0)\n"
	".macro same offset, reg\n"
	"	lea \\offset(%rax), %rcx\n	cmp %rcx, \\reg\n	setne %cl\n	movzbl %cl, %ecx\n	add %rcx, (%rsp)\n"
	".endm\n"
	"	same 1, %rbx\n	same 2, %rdx\n	same 3, %rsi\n	same 4, %rdi\n	same 5, %rbp\n"
	"	same 8, %r8\n	same 9, %r9\n	same 10, %r10\n	same 11, %r11\n	same 12, %r12\n"
	"	same 13, %r13\n	same 14, %r14\n	same 15, %r15\n"
	"	mov $0x1111111122222222, %rcx\n	cmp %rcx, %rax\n	setne %cl\n	movzbl %cl, %ecx\n	add %rcx, (%rsp)\n"
	".irp n, 1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n" /* xmm0 is for the comparison */
	"	movq %rax, %xmm0\n	punpcklqdq %xmm0, %xmm0\n	pslld $\\n, %xmm0\n"
	"	pcmpeqd %xmm\\n, %xmm0\n	pmovmskb %xmm0, %ecx\n	xor $0xffff, %ecx\n	add %rcx, (%rsp)\n"
	".endr\n"
	"	pop %rax\n"
	"	pop %r15\n	pop %r14\n	pop %r13\n	pop %r12\n	pop %rbp\n	pop %rbx\n"
	"	ret\n"
	".size spin_registers, . - spin_registers\n");

/* Checks the state of a thread across calls of patched functions. */
void check_state(long x, int rounding)
{
	volatile double one = 1, three = 3;
	double third = one / three;
	int number = 1000 + x % 1000;
	long lost;

	errno = number;
	check_tally(x, nothing);
	check_lone(x);
	lost = spin_registers(2000);
	if (lost)
		complain("registers, stack or flags changed (%ld)", lost);
	if (errno != number)
		complain("errno is %d, was %d", errno, number);
	if (fegetround() != rounding)
		complain("the rounding mode is %d, was %d", fegetround(), rounding);
	if (one / three != third)
		complain("1/3 is %a, was %a", one / three, third);
}

/* Without exceptions in the compiler's options, none are thrown. */
#ifdef __cpp_exceptions
struct oops : std::runtime_error {
	long x;

	oops(long x) : std::runtime_error("oops " + std::to_string(x)), x(x)
	{
	}
};

struct guard {
	long *ended;

	~guard()
	{
		++*ended;
		check_lone(*ended);
	}
};

__attribute__((noipa)) void dive(long x, int depth, long *ended)
{
	guard g{ ended };

	if (!depth)
		throw oops(x);
	check_tally(x + depth, nothing);
	dive(x, depth - 1, ended);
}

/* Throws through frames whose destructors call patched functions. */
void check_exception(long x)
{
	long ended = 0;

	try {
		dive(x, 8, &ended);
		complain("nothing was thrown");
	} catch (const oops &e) {
		check_tally(x, nothing);
		if (e.x != x || e.what() != "oops " + std::to_string(x))
			complain("caught %s, thrown was %ld", e.what(), x);
	}
	if (ended != 9)
		complain("%ld destructors ran, want 9", ended);
}
#else
void check_exception(long)
{
}
#endif

void handle(int)
{
	int saved = errno;

	check_tally(getpid() & 0xffff, nothing);
	check_lone(gettid() & 0xffff);
	errno = saved;
}

void *mayfly(void *arg)
{
	long x = (long)arg;

	random_state = x;
	check_state(x, fegetround());
	check_exception(x);
	return (void *)(x + 1);
}

void check_thread(long x)
{
	pthread_t t;
	void *result;
	int error = pthread_create(&t, nullptr, mayfly, (void *)x);

	if (error == EAGAIN && executing)
		return;
	if (error) {
		complain("pthread_create: %s", strerror(error));
		return;
	}
	wipe();
	pthread_join(t, &result);
	if ((long)result != x + 1)
		complain("a thread returned %ld, want %ld", (long)result, x + 1);
}

/* Waits for a child. It exits with status 0 if all its checks passed, or is killed by the test that kills at random. */
void check_child(pid_t pid, const char *what)
{
	int status;

	wipe();
	while (waitpid(pid, &status, 0) < 0) {
		if (errno != EINTR) {
			complain("waitpid: %s", strerror(errno));
			return;
		}
	}
	if (status && !(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL))
		complain("a child, made by %s, ended with status %#x", what, status);
}

/* Runs in a child that has only one of many threads: it must not need a lock that another thread may have held. */
void live(long x)
{
	long before = wrong;

	for (int i = 0; i < 10; i++) {
		check_state(x + i, fegetround());
		check_tally(x, pause_between);
		nap(random_below(30) * ms);
	}
	_exit(wrong != before);
}

void check_fork(long x)
{
	pid_t pid = fork();

	if (pid < 0)
		complain("fork: %s", strerror(errno));
	else if (!pid)
		live(x);
	else
		check_child(pid, "fork");
}

void check_spawn(long x)
{
	static char name[] = "soak", flag[] = "-c";
	char *argv[] = { name, flag, nullptr };
	pid_t pid;
	int error;

	if (x % 2) { /* the child shares the memory until it calls execve() */
		error = posix_spawn(&pid, "/proc/self/exe", nullptr, nullptr, argv, environ);
		if (error) {
			complain("posix_spawn: %s", strerror(error));
			return;
		}
	} else {
		pid = fork();
		if (!pid) {
			execv("/proc/self/exe", argv);
			_exit(127);
		}
	}
	check_child(pid, x % 2 ? "posix_spawn" : "exec");
}

/* Spends a tenth of its time in the middle of tally(), so that it is found there, and leaves room for patches. */
void linger(long x)
{
	for (int i = 0; i < 10; i++) {
		check_tally(x + i, pause_long);
		nap(30 * ms);
	}
}

/* Further work of a thread, by its number. Forks are expensive, above all in emulated machines. */
void extra(long i, long x)
{
	switch (i % 64) {
	case 3:
		return check_fork(x);
	case 4:
		return i == 4 ? check_spawn(x) : check_fork(x);
	case 2:
	case 34:
		return check_thread(x);
	}
	switch (i % 32) {
	case 1:
		if (i == 1)
			linger(x);
		else
			check_tally(x, pause_between);
		break;
	case 5:
	case 21:
		pthread_kill((*slots)[random_below(slots->size())].thread, SIGUSR1);
		break;
	case 7:
	case 11:
	case 23:
		check_exception(x);
		break;
	}
}

void set_up_thread(long i)
{
	static const int modes[] = { FE_TONEAREST, FE_UPWARD, FE_DOWNWARD, FE_TOWARDZERO };
	stack_t stack = {};
	sigset_t set;

	random_state = i * 7919 + getpid();
	fesetround(modes[i % 4]);
	if (i % 4 == 1) {
		stack.ss_size = 64 << 10;
		stack.ss_sp = malloc(stack.ss_size);
		if (!stack.ss_sp || sigaltstack(&stack, nullptr))
			abort();
	}
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
}

__attribute__((noipa)) void round_of(long i, long x)
{
	slot &s = (*slots)[i];
	long now = epoch;

	s.tally = check_tally(x, nothing);
	s.lone = check_lone(x);
	s.epoch = now;
	check_state(x, fegetround());
	extra(i, x);
	checks++;
}

/* The first thread of each process sleeps little. */
void *work(void *arg)
{
	long i = (long)arg;

	set_up_thread(i);
	while (!complete)
		nap(20 * ms);
	for (long x = i;; x = (x + 1) & 0xffff) {
		round_of(i, x);
		nap(i ? (1000 + random_below(1000)) * ms : 50 * ms);
	}
	return nullptr;
}

/* The whole work of a spawned process. */
int be_child()
{
	for (long x = 1; x < 4; x++) {
		check_thread(x);
		check_exception(x);
		check_tally(x, pause_between);
	}
	return wrong != 0;
}

void census(long id)
{
	long now = ++epoch, all = 0, tally[WRONG + 1] = {}, lone[WRONG + 1] = {};

	for (slot &s : *slots) {
		while (s.epoch < now)
			nap(5 * ms);
		all++;
		tally[s.tally]++;
		lone[s.lone]++;
	}
	printf("census %ld %ld tally %ld %ld %ld lone %ld %ld %ld\n", id, all, tally[0], tally[1], tally[2], lone[0], lone[1],
	       lone[2]);
}

} // namespace

int main(int argc, char **argv)
{
	struct sigaction action = {};
	long threads = 16;
	pthread_attr_t attr;
	sigset_t set;
	char line[32];

	action.sa_handler = handle;
	action.sa_flags = SA_RESTART | SA_ONSTACK;
	sigaction(SIGUSR1, &action, nullptr);
	if (argc == 2 && !strcmp(argv[1], "-c"))
		return be_child();
	if (argc == 3 && !strcmp(argv[1], "-t"))
		threads = atol(argv[2]);
	setvbuf(stdout, nullptr, _IOLBF, 0);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	pthread_sigmask(SIG_BLOCK, &set, nullptr);
	slots = new std::vector<slot>(threads);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 256 << 10);
	for (long i = 0; i < threads; i++) {
		int error = pthread_create(&(*slots)[i].thread, &attr, work, (void *)i);

		if (error) {
			complain("pthread_create: %s", strerror(error));
			return 1;
		}
	}
	complete = true;
	printf("ready %d\n", getpid());
	while (fgets(line, sizeof(line), stdin)) {
		line[strcspn(line, "\n")] = '\0';
		if (!strncmp(line, "census ", 7)) {
			census(atol(line + 7));
		} else if (!strcmp(line, "exec")) {
			executing = true;
			execv("/proc/self/exe", argv);
			complain("execv: %s", strerror(errno));
		} else if (!strcmp(line, "quit")) {
			printf("bye checks %ld wrong %ld\n", (long)checks, (long)wrong);
			_exit(0);
		}
	}
	return 0;
}
