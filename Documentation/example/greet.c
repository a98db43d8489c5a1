// SPDX-License-Identifier: GPL-2.0
/* Greets ten times a second, with a mistake. Documentation/quick-start.md puts it right while the program runs. */

#include <stdio.h>
#include <time.h>

static void greet(long number)
{
	printf("Helo number %ld\n", number);
	fflush(stdout);
}

int main(void)
{
	const struct timespec pause = { .tv_nsec = 100000000 };

	for (long number = 1;; number++) {
		greet(number);
		nanosleep(&pause, NULL);
	}
}
