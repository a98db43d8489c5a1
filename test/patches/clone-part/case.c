/*
 * gcc inlines the head of the function into its callers and leaves the rest as .part.
 *
 * old: 0x65
 * new: 0x66
 */
#include <string.h>
#include "../case.h"

static long slow_path(char *buf, const char *s, unsigned long n)
{
	unsigned long len;

	if (__builtin_expect(!s, 1))
		return 1;
	len = strlen(s);
	for (unsigned long i = 0; i < n && i < len; i++)
		buf[i] = s[i] ^ (char)HIDE(0);
	for (unsigned long i = 0; i < n / 2; i++)
		buf[n - 1 - i] ^= buf[i] & (char)HIDE(0);
	return buf[0] + OLD_NEW(0, 1);
}

noinline long user(const char *s)
{
	char buf[8] = "";

	return slow_path(buf, s, sizeof(buf));
}

noinline long other(const char *s)
{
	char buf[4] = "";

	return slow_path(buf, s, sizeof(buf));
}

long probe(void)
{
	return HIDE(1) ? user(HIDE("e")) : other(HIDE("x"));
}
