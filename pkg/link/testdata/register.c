/*
 * Calls the entry of register.o as a patched function is called, while this stands in for libgcc: from several threads at
 * once, from a signal handler in the middle, in a child forked in the middle. Ends with 0, or says what went wrong.
 */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define ENTRY ((double (*)(long, long, long, long, long, long, double, double, double, double, double, double, double, double))lpatch_entry)

extern void lpatch_entry(void);
extern _Atomic long lpatch_state;
char lpatch_frames[64];

static atomic_int registered, in_the_middle, may_end;
static _Atomic long during; /* calls that ran while the tables were not registered yet */

static void fail(const char *what)
{
	fprintf(stderr, "%s: registered %d times, state %#lx, %ld calls meanwhile\n", what, registered, lpatch_state, during);
	_exit(1);
}

double lpatch_target(long a, long b, long c, long d, long e, long f, double g, double h, double i, double j, double k, double l, double m, double n)
{
	if (lpatch_state != 1)
		during++;
	return a + 2 * b + 3 * c + 4 * d + 5 * e + 6 * f + g + h + i + j + k + l + m + n;
}

static void call(void)
{
	if (ENTRY(1, 2, 3, 4, 5, 6, .5, 1, 2, 4, 8, 16, 32, 64) != 91 + 127.5)
		fail("an argument was lost");
}

static void handler(int sig)
{
	(void)sig;
	call();
}

void __register_frame_info(const void *begin, void *object)
{
	if (begin != lpatch_frames || !object || ((long)__builtin_frame_address(0) & 15))
		fail("wrong arguments or stack");
	registered++;
	raise(SIGUSR1);
	if (during != 1)
		fail("the signal handler");
	in_the_middle = 1;
	while (!may_end)
		usleep(1000);
	/* All that a function may change. */
	__asm__ volatile("pxor %%xmm0, %%xmm0; pxor %%xmm1, %%xmm1; pxor %%xmm2, %%xmm2; pxor %%xmm3, %%xmm3; pxor %%xmm4, %%xmm4;"
			 "pxor %%xmm5, %%xmm5; pxor %%xmm6, %%xmm6; pxor %%xmm7, %%xmm7; xor %%eax, %%eax; xor %%ecx, %%ecx; xor %%edx, %%edx;"
			 "xor %%esi, %%esi; xor %%edi, %%edi; xor %%r8d, %%r8d; xor %%r9d, %%r9d; xor %%r10d, %%r10d; xor %%r11d, %%r11d"
			 ::: "rax", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5",
			 "xmm6", "xmm7");
	memset(object, 1, 48);
}

static void *thread(void *arg)
{
	call();
	return arg;
}

int main(void)
{
	pthread_t t[5];
	int status;

	signal(SIGUSR1, handler);
	alarm(60);
	pthread_create(&t[0], NULL, thread, NULL);
	while (!in_the_middle)
		usleep(1000);
	pid_t child = fork();
	if (!child) { /* nobody registers here any more */
		call();
		if (lpatch_state != 1 || registered != 1)
			fail("the child");
		call();
		_exit(0);
	}
	if (waitpid(child, &status, 0) != child || status)
		fail("the child ended badly");
	long before = during;
	for (int i = 1; i < 5; i++)
		pthread_create(&t[i], NULL, thread, NULL);
	may_end = 1;
	for (int i = 0; i < 5; i++)
		pthread_join(t[i], NULL);
	call();
	if (registered != 1 || lpatch_state != 1 || during != before)
		fail("the threads");
	return 0;
}
