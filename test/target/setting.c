// SPDX-License-Identifier: GPL-2.0
/*
 * Another value() for victim.c and life.c: it checks variables of each kind, which change together with it. Its result
 * is argument + 1 if it is the old function and finds the old value everywhere, + 2 if it is the new one (FIXED) and
 * finds the new values, and far off if the version of a variable does not match that of the function.
 *
 * It calls no function, for the reason given in value.c.
 */
#ifdef FIXED
#define TIME 2
#else
#define TIME 1
#endif

#define HIDDEN __attribute__((visibility("hidden")))

int value(int x);
void nudge(int n);

HIDDEN int limit = TIME;
static int step = 10 * TIME;
#ifdef FIXED
HIDDEN int late = 5;
#else
HIDDEN int late; /* in .bss */
#endif
HIDDEN unsigned char table[64] = { [0 ... 63] = TIME };

/* The bytes straddle a page boundary. */
HIDDEN __attribute__((aligned(4096))) struct {
	unsigned char before[4080];
	unsigned char bytes[32];
} edge = { .bytes = { [0 ... 31] = TIME } };

/* Read-only once the dynamic linker has filled in the names. */
HIDDEN const struct {
	const char *name;
	int n;
} rules[2] = { { "one", TIME }, { "two", 10 * TIME } };

/* Keeps the compiler from treating step as a constant. */
void nudge(int n)
{
	step += n;
}

int value(int x)
{
	unsigned int wrong = limit != TIME;

	wrong += step != 10 * TIME;
	wrong += late != (TIME == 2 ? 5 : 0);
	for (int i = 0; i < 64; i++)
		wrong += table[i] != TIME;
	for (int i = 0; i < 32; i++)
		wrong += edge.bytes[i] != TIME;
	wrong += rules[x & 1].n != (x & 1 ? 10 : 1) * TIME || rules[x & 1].name[0] != (x & 1 ? 't' : 'o');
	return x + TIME + 1000 * wrong;
}
