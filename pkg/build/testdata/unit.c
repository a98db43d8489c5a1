/* The unit that is patched: compiled as it is for the program, with -DNEW for the new version. */
#define _GNU_SOURCE
#include <ctype.h>
#include <errno.h>
#include <locale.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "unit.h"

#define NOINLINE __attribute__((noinline))

static int counter = 40;
static long history[8];
static const char *const names[] = { "zero", "one", "two", "three" };
__thread int tls_public = 7;
static __thread int tls_private = 9;
int public_counter = 3;
__attribute__((visibility("protected"))) int guarded_counter = 20;
__attribute__((visibility("hidden"))) int hidden_counter = 30;
static char scratch[64];

static NOINLINE int helper(int x)
{
	static int calls;

	history[x & 7] += x;
	return ++calls + x * 3;
}

static NOINLINE int numbered(int x)
{
	static int calls;

	calls += x;
	return calls;
}

#ifdef NEW
static int fresh = 11;
static long fresh_zero[4];
static const int fresh_table[5] = { 5, 4, 3, 2, 1 };
int fresh_public = 77;

static NOINLINE int fresh_function(int x)
{
	fresh += x;
	fresh_zero[x & 3] += fresh;
	return fresh_table[(unsigned)x % 5] + (int)fresh_zero[x & 3] + fresh_public;
}

static NOINLINE int plus(int a) { return a + 1; }
static NOINLINE int minus(int a) { return a - 1; }
static int (*const fresh_ops[])(int) = { plus, minus, helper };
#endif

int same(int x)
{
	return helper(x) + numbered(1) + tls_private + hidden_counter++ + guarded_counter + *get_other() + other_function(x) +
		(getenv("PATH") != NULL);
}

/* Strings, constants, statics old and new, imports. */
int changed_body(int x)
{
	static int seen = 100;

	counter += x;
#ifdef NEW
	seen += 2;
	hidden_counter += guarded_counter++;
	seen += hidden_counter;
	snprintf(scratch, sizeof(scratch), "new string %d %s %.3f", x, names[x & 3], x * 2.7182818);
	return counter + seen + helper(x) + fresh_function(x) + (int)strlen(scratch);
#else
	seen++;
	snprintf(scratch, sizeof(scratch), "old %d %s %.2f", x, names[x & 3], x * 3.25);
	return counter + seen + helper(x) + (int)strlen(scratch);
#endif
}

const char *last_text(void) { return scratch; }

/* A switch with a jump table of its own. */
int changed_switch(int x)
{
	switch (x) {
	case 0: return helper(1);
	case 1: return counter;
	case 2: return public_counter;
	case 3: return x * 17;
	case 4: return numbered(2);
	case 5: return 55;
#ifdef NEW
	case 6: return fresh_ops[public_counter % 3](x);
	case 7: return tls_public + 1000;
	case 8: return tls_private + 2000;
	default: return -2;
#else
	case 6: return 66;
	case 7: return tls_public;
	case 8: return tls_private;
	default: return -1;
#endif
	}
}

NOINLINE __attribute__((cold)) void rare(const char *why)
{
	snprintf(scratch, sizeof(scratch), "rare: %s", why);
}

/* An unlikely branch, which compilers put into a .cold part. */
int changed_cold(int x)
{
	int i, sum = 0;

	for (i = 0; i < x; i++) {
		if (__builtin_expect(i == 1000, 0)) {
			rare("thousand");
			errno = ENOSPC;
			sum += numbered(i);
		}
#ifdef NEW
		if (__builtin_expect(i == 13, 0)) {
			rare("thirteen");
			errno = ERANGE;
			sum -= helper(i);
		}
		sum += i;
#endif
		sum += i;
	}
	return sum;
}

/* Identity of functions and objects. */
int changed_identity(void)
{
	int r = 0;

	r |= (callback == changed_body) << 0;
	r |= (callback_of_other() == changed_body) << 1;
	r |= (address_of_counter() == &public_counter) << 2;
	r |= (out == stdout) << 3;
	r |= (allocate == malloc) << 4;
#ifdef NEW
	r |= (get_other() == &other_public) << 5;
	r |= (other_function(3) == 6) << 6;
	r |= (getenv("PATH") != NULL) << 7;
#endif
	return r;
}

/* Varargs, structures by value, floating point, larger loops that are vectorised at -O3. */
struct pair changed_struct(struct pair p, const double *v, int n)
{
	double s = 0;
	int i;

	for (i = 0; i < n; i++)
#ifdef NEW
		s += v[i] * 1.5 + (double)i;
#else
		s += v[i];
#endif
	p.a += (long)s;
	p.b = p.a ^ 0x1234567890abcdefL;
#ifdef NEW
	p.b += other_public++;
#endif
	return p;
}

/* With NEW, what no version of the program imports, as far as this way to compile can reach it. */
#if defined(NEW) && !defined(NO_IMPORTS)
#include <langinfo.h>
#include <math.h>
#include <regex.h>

char *old_realpath(const char *, char *);
__asm__(".symver old_realpath, realpath@GLIBC_2.2.5");
extern int nowhere(int) __attribute__((weak));
static size_t (*const fresh_imports[])(const char *, const char *) = { strspn, strcspn };

int changed_imports(int x)
{
	int r = tolower_l('A' + x, newlocale(LC_ALL_MASK, "C", NULL)) + (int)cbrt(27.0 + x); /* libm */

	r += (int)fresh_imports[x & 1]("aaab", "ab") * 1000; /* ifuncs, by address */
	r += (int)strlen(strpbrk("x=y", "=")) * 10000; /* an ifunc */
	r += (realpath(".", NULL) != NULL) * 100000; /* the default version */
	r += (old_realpath(".", NULL) != NULL) * 1000000; /* one that knows no NULL */
#ifndef SHARED
	if (nowhere)
		r += nowhere(x);
#endif
#if defined(__PIC__) && !defined(__PIE__)
	r += (strcmp(program_invocation_short_name, "prog") == 0) * 10000000;
	r += (&stdin == input) * 100000000; /* the program may have a copy */
#endif
	return r;
}
#else
int changed_imports(int x) { return x * 3 + counter; }
#endif

int *address_of_counter(void) { return &public_counter; }
int private_tls(void) { return tls_private++; }
int getenv_present(void) { return getenv("PATH") != NULL; }
