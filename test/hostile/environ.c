// SPDX-License-Identifier: GPL-2.0
/*
 * environ ADDRESS PAGES FIXED PROGRAM [ARGUMENT…]: starts the program with an environment of words that are ADDRESS,
 * and the same offset in each of PAGES pages on either side. With FIXED 1 it disables address randomisation, which a
 * set-user-ID program does not inherit.
 *
 * A string ends with a 0 byte and contains none. So a word can be passed if only its highest bytes are 0: it is a
 * string followed by empty ones. The alignment of the strings depends on the names, so there are eight runs, each one
 * byte further.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/resource.h>
#include <unistd.h>

static char **environment;
static int strings;

static void word(unsigned long address)
{
	char *s = calloc(1, 9);
	size_t len;

	memcpy(s, &address, 8);
	len = strlen(s);
	if (address >> 8 * len) /* a 0 byte in the middle */
		return;
	environment[strings++] = s;
	for (len++; len < 8; len++)
		environment[strings++] = "";
}

int main(int argc, char **argv)
{
	struct rlimit stack = { 64 << 20, 64 << 20 };
	unsigned long address;
	long pages;

	if (argc < 5)
		return 2;
	address = strtoul(argv[1], NULL, 0);
	pages = atol(argv[2]);
	setrlimit(RLIMIT_STACK, &stack);
	if (atoi(argv[3]))
		personality(ADDR_NO_RANDOMIZE);
	environment = calloc(8 * (8 * (2 * pages + 4) + 1) + 1, sizeof(*environment));
	for (int shift = 0; address && shift < 8; shift++) {
		for (long i = -pages; i <= pages; i++)
			word(address + i * 4096);
		environment[strings++] = "";
	}
	if (!address) {
		putenv("LD_DEBUG=files");
		execv(argv[4], argv + 4);
	}
	execve(argv[4], argv + 4, environment);
	perror(argv[4]);
	return 100;
}
