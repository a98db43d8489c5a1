#define _GNU_SOURCE
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <ucontext.h>
/* A table of instructions that may fault and where to go on, as kernels and interpreters have: its entries are made in
 * the functions, and nothing in the functions refers to them. */
#define PROBE(p, ok) \
	__asm__ volatile("1: movl (%2),%%eax\n\tmovl $1,%0\n\tjmp 3f\n2: movl $0,%0\n3:\n" \
		".pushsection my_extable,\"a\"\n.balign 8\n.quad 1b, 2b\n.popsection" : "=r"(ok) : "0"(0), "r"(p) : "eax", "memory")
struct entry { unsigned long at, to; };
extern const struct entry __start_my_extable[], __stop_my_extable[];
static void handler(int sig, siginfo_t *si, void *uc)
{
	greg_t *r = ((ucontext_t *)uc)->uc_mcontext.gregs;
	for (const struct entry *e = __start_my_extable; e < __stop_my_extable; e++)
		if (e->at == (unsigned long)r[REG_RIP]) { r[REG_RIP] = e->to; return; }
	signal(SIGSEGV, SIG_DFL);
}
__attribute__((noinline)) int readable(const int *p)
{
	int ok;
	PROBE(p, ok);
#ifdef NEW
	return ok ? ok + 6 : -7;
#else
	return ok;
#endif
}
int main(void)
{
	int x = 5; struct sigaction sa = { .sa_sigaction = handler, .sa_flags = SA_SIGINFO | SA_NODEFER };
	sigaction(SIGSEGV, &sa, NULL);
	setvbuf(stdout, NULL, _IONBF, 0);
	printf("%d\n", readable(&x));
	printf("%d\n", readable((int *)8));
	printf("%d\n", readable((int *)9));
	return 0;
}
