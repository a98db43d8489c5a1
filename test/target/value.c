// SPDX-License-Identifier: GPL-2.0
/* The function of victim.c that is patched, in a file of its own so that no caller inlines it. */

int value(int x);

static unsigned int salt;

/* Long enough for a thread to be met inside, now and then. */
int value(int x)
{
	unsigned int h = salt;

	for (int i = 0; i < 16; i++)
		h = h * 31 + x;
	salt = h;
#ifdef FIXED
	return x + 2;
#else
	return x + 1;
#endif
}
