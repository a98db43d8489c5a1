// SPDX-License-Identifier: GPL-2.0
/*
 * The function of victim.c that is patched, in a separate file so that no caller inlines it. With FIXED it is the fixed
 * one, which has everything that a first patch may need: a new function, a new static variable, a table of strings, a
 * string, an import that the program has, imports that it does not have (swab() of libc, cbrt() of libm, except with
 * STATIC), an existing static function and an existing static variable. FIXED_AGAIN is a fix on top of that one, which
 * uses what it added.
 *
 * The original calls no function: a return address left on the stack of a thread that then sleeps in a frame above
 * would look like one in use, and the thread as if it were in the function.
 */
#define _GNU_SOURCE
#include <math.h>
#include <string.h>
#include <unistd.h>

int value(int x);
int same(const char *a, const char *b);

static unsigned int salt;

__attribute__((noinline)) static unsigned int stir(unsigned int h, int x)
{
	for (int i = 0; i < 16; i++)
		h = h * 31 + x;
	return h;
}

int same(const char *a, const char *b)
{
	salt = stir(salt, *a);
	return !strcmp(a, b);
}

#ifdef FIXED_AGAIN
#define FIXED
#endif

#ifdef FIXED
static int fixed_calls;
static const char * const names[] = { "zero", "one", "two" };

__attribute__((noinline)) static int index_of(const char *name)
{
	for (int i = 0; i < 3; i++)
		if (!strcmp(names[i], name))
			return i;
	return -1000;
}

#ifndef STATIC
static volatile double cube = 27;

__attribute__((noinline)) static int imported(void)
{
	char in[2] = { 1, 2 }, out[2] = { 0, 0 };

	swab(in, out, 2);
	return out[0] == 2 && (int)(cbrt(cube) + 0.5) == 3 ? 0 : -2000;
}
#else
static int imported(void) { return 0; }
#endif
#endif

int value(int x)
{
#ifdef FIXED
	salt = stir(salt, x);
	fixed_calls++;
#ifdef FIXED_AGAIN
	if (fixed_calls > 1) /* so it is the existing variable */
		return x + index_of("two") + imported() + 10;
#endif
	return x + index_of(fixed_calls ? "two" : "none") + imported();
#else
	unsigned int h = salt;

	for (int i = 0; i < 8; i++)
		h = h * 31 + x;
	salt = h;
	return x + 1;
#endif
}
