/*
 * Calls each function three times, before and after lpload.c applies a patch to this process, and prints what they
 * return. With STEP in the environment the calls are single-stepped, and a backtrace is taken at each instruction of the
 * patch.
 */
#define _GNU_SOURCE
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>
#include <unwind.h>

#ifdef __clang__
#define FN __attribute__((noinline, used))
#else
#define FN __attribute__((noipa, used))
#endif

void lp_apply(void);
uintptr_t lp_base(void);
void __register_frame(void *);

enum color { RED, GREEN = 7 };
struct small { int a; };
struct big { long a, b, c; };
union both { int i; void *p; };
typedef const unsigned short word;
typedef void nothing;

int counter, sum;
_Thread_local int mine = 3;
static int (*volatile through)(int);
volatile int zero;

FN int leaf(int x) { return x * 3 + 1; }
FN int first_global(int x) { return counter + x; }
FN int store_global(int x) { counter = 7; return x; }
FN int first_branch(int x) { if (!x) return 5; sum += x; return leaf(x) + sum; }
FN int loop(int n) { int s = 0; for (; n > 0; n--) s += leaf(n); return s; }
FN int tail(int x) { return leaf(x); }
FN int after_call(void) { int x = leaf(zero); return x + sum; }
FN int calls_first(void) { return leaf(zero + 2) * 2; }
FN int none(void) { return sum + 1; }
FN int begins_with_call(void) { return none() * 2; }
FN int factorial(int n) { return n < 2 ? 1 : n * factorial(n - 1); }
FN int big_frame(int x) { volatile char b[300]; memset((void *)b, x, sizeof(b)); return b[x & 7]; }
FN int dynamic(int n) { volatile char *p = __builtin_alloca(n + 16); p[0] = n; return p[0]; }
FN int by_pointer(int x) { return through(x) + 1; }
FN int tail_by_pointer(int x) { return through(x); }
FN int local(int x) { return mine += x; }
FN void empty(void) { __asm__ volatile("" ::: "memory"); }
FN void does(void) { sum++; }
FN nothing does_too(void) { sum += 2; }
FN bool truth(int x) { return x == 2; }
FN unsigned char byte(int x) { return x + 250; }
FN word two_bytes(int x) { return x + 65000; }
FN int8_t signed_byte(int x) { return x - 100; }
FN long long eight(int x) { return (long long)x << 40; }
FN uint64_t unsigned_eight(int x) { return ~0ULL - x; }
FN char *pointer(int x) { return x == 100 ? NULL : &"text"[x]; }
FN enum color hue(int x) { return x == 1 ? GREEN : RED; }
FN double floating(int x) { return x / 2.0; }
FN float single(int x) { return x / 2.0f; }
FN long double wide(int x) { return x / 2.0L; }
FN __int128 very_wide(int x) { return x; }
FN struct small small(int x) { return (struct small){x ^ 1}; }
FN struct big big(int x) { return (struct big){x, x + 1, x + 2}; }
FN union both either(int x) { return (union both){x}; }
FN _Noreturn void fatal(int x) { exit(x); }

FN int variadic(int n, ...)
{
	va_list ap;
	int s = 0;

	va_start(ap, n);
	while (n--)
		s += va_arg(ap, double) > 1.5;
	va_end(ap);
	return s;
}

FN int table(int x)
{
	switch (x) {
	case 0: return leaf(4);
	case 1: return sum;
	case 2: return counter + 9;
	case 3: return leaf(9) * 2;
	case 4: sum++; return 11;
	case 5: return 77;
	}
	return -1;
}

FN int interpret(const char *p)
{
	int s = 0;

	for (;;) {
		switch (*p++) {
		case 'a': s += leaf(1); continue;
		case 'b': s *= leaf(2); continue;
		case 'c': s ^= 5; continue;
		case 'd': s -= leaf(s & 3); continue;
		case 'e': s++; continue;
		case 0: return s;
		}
	}
}

FN int jumps(int x)
{
	static const void *const to[] = {&&one, &&two, &&three};

	goto *to[x % 3];
one:	return 1 + leaf(x);
two:	x++;
three:	return x * 2;
}

static jmp_buf back;
FN int leaves(int x) { longjmp(back, x + 1); }
FN int returns_twice(int x) { int r = setjmp(back); return r ? r : leaves(x); }

static inline __attribute__((always_inline)) int copied(int x) { return x ^ 0x55; }
int (*volatile copied_too)(int) = copied;
FN int has_copies(int x) { return copied(x) + copied(x + 1); }

static int steps, wrong;
static uintptr_t from;
static size_t span;

struct trace { uintptr_t at, next; int seen; };

static _Unwind_Reason_Code frame(struct _Unwind_Context *c, void *arg)
{
	struct trace *t = arg;
	uintptr_t ip = _Unwind_GetIP(c);

	if (t->seen) {
		t->next = ip;
		return _URC_END_OF_STACK;
	}
	t->seen = ip == t->at;
	return _URC_NO_REASON;
}

/* step: in the patch, the caller is the one that was on top of the stack at its first instruction. */
static void step(int sig, siginfo_t *info, void *ctx)
{
	greg_t *r = ((ucontext_t *)ctx)->uc_mcontext.gregs;
	struct trace t = {.at = r[REG_RIP]};
	static uintptr_t caller;

	(void)sig, (void)info;
	if (t.at - from >= span) {
		caller = 0;
		return;
	}
	if (!caller)
		caller = *(uintptr_t *)r[REG_RSP];
	_Unwind_Backtrace(frame, &t);
	steps++;
	if (t.next != caller) {
		wrong++;
		printf("at %#lx of the patch the caller is %#lx, not %#lx\n", t.at - from, t.next, caller);
	}
}

static void stepping(int on)
{
	if (on)
		__asm__ volatile("pushfq; orl $0x100, (%%rsp); popfq" ::: "memory", "cc");
	else
		__asm__ volatile("pushfq; andl $~0x100, (%%rsp); popfq" ::: "memory", "cc");
}

#define SHOW(format, call) do { \
	stepping(want); __auto_type result = (call); stepping(0); \
	printf(#call " " format "\n", result); } while (0)

static void round_of(int want)
{
	counter = sum = 0;
	mine = 3;
	for (int i = 0; i < 3; i++) {
		SHOW("%d", leaf(i));
		SHOW("%d", first_global(i));
		SHOW("%d", store_global(i));
		SHOW("%d", first_branch(i));
		SHOW("%d", loop(i));
		SHOW("%d", tail(i));
		SHOW("%d", after_call());
		SHOW("%d", calls_first());
		SHOW("%d", begins_with_call());
		SHOW("%d", factorial(i));
		SHOW("%d", big_frame(i));
		SHOW("%d", dynamic(i));
		SHOW("%d", by_pointer(i));
		SHOW("%d", tail_by_pointer(i));
		SHOW("%d", local(i));
		stepping(want); empty(); does(); does_too(); stepping(0);
		printf("sum %d counter %d\n", sum, counter);
		SHOW("%d", truth(i));
		SHOW("%u", byte(i));
		SHOW("%u", two_bytes(i));
		SHOW("%d", signed_byte(i));
		SHOW("%lld", eight(i));
		SHOW("%lu", unsigned_eight(i));
		SHOW("%s", pointer(i));
		SHOW("%d", hue(i));
		SHOW("%g", floating(i));
		SHOW("%g", single(i));
		SHOW("%Lg", wide(i));
		SHOW("%d", (int)very_wide(i));
		SHOW("%d", small(i).a);
		SHOW("%ld", big(i).b);
		SHOW("%d", either(i).i);
		SHOW("%d", variadic(i, 1.0, 2.0));
		SHOW("%d", table(i * 2));
		SHOW("%d", interpret("abcde"));
		SHOW("%d", jumps(i));
		SHOW("%d", returns_twice(i));
		SHOW("%d", has_copies(i));
		SHOW("%d", copied_too(i));
	}
}

int main(int argc, char **argv)
{
	const char *hits = getenv("HITS"), *frames = getenv("FRAMES");

	if (argc > 9)
		fatal(argc);
	through = leaf;
	round_of(0);
	lp_apply();
	if (getenv("STEP")) {
		struct sigaction sa = {.sa_sigaction = step, .sa_flags = SA_SIGINFO};

		from = lp_base() + 0x1000;
		span = 0x1000;
		__register_frame((void *)(lp_base() + strtoul(frames, NULL, 0)));
		sigaction(SIGTRAP, &sa, NULL);
	}
	puts("after");
	round_of(getenv("STEP") != NULL);
	if (hits)
		printf("hits %lu\n", *(unsigned long *)(lp_base() + strtoul(hits, NULL, 0)));
	if (getenv("STEP"))
		printf("steps %d wrong %d\n", steps, wrong);
	(void)argv;
	return 0;
}
