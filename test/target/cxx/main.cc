// SPDX-License-Identifier: GPL-2.0
// A program to be patched: its threads throw exceptions from, through and into functions of cxx.cc all the time and check
// the results. A result of the old or of the new code is right; any other is counted as wrong.
//
//	cxx [-t THREADS]
//
// It obeys commands, a line each, on standard input, and answers each with one line on standard output:
//	probe     "value N", N from thrower(0)
//	round     the output of run(), with ";" instead of newlines
//	terminate an exception leaves a noexcept function: the program ends by SIGABRT
//	stats     "stats calls N wrong N alive N", alive is counted while no thread works
#include "cxx.h"
#include <cstdlib>
#include <cstring>
#include <string>
#include <mutex>
#include <shared_mutex>
#include <thread>
#include <ctime>
#include <sys/syscall.h>
#include <unistd.h>

extern "C" void run(FILE *out);

static std::atomic<unsigned long> calls, wrong;
static std::shared_mutex rest;

static void check(int got, int before, int now)
{
	if (got != before && got != now)
		wrong++;
	calls++;
}

NOINLINE static void work()
{
	std::shared_lock lock(rest);

	check(old_catcher(thrower, 0), 1, 8);
	check(old_catcher(thrower, 2), 2000000, 2000000);
	check(old_catcher(thrower, 5), 1000005, 1000050);
	check(old_catcher(through, 1), 3000000, 3000000);
	check(old_catcher(through, 3), 1000003, 1000003);
	check(old_catcher(rethrows, 3), 1000004, 1000005);
	check(catches(1), -1, -2);
	check(catches(3), 103, 203);
	int got = recaptured(captures(5)); // one of them may be old and the other new
	check(got, got == 7 || got == 5007 ? got : 6, 5006);
}

// Sleeps longer than a round takes on a slow machine, without a library function, whose frames could keep addresses of
// functions that were called before.
static inline __attribute__((always_inline)) void nap()
{
	struct timespec ts = { 0, 20000000 };
	long ret;

	__asm__ volatile("syscall" : "=a"(ret) : "a"(SYS_nanosleep), "D"(&ts), "S"(nullptr) : "rcx", "r11", "memory");
}

static void worker()
{
	for (;;) {
		work();
		nap();
	}
}

static void obey(const char *command)
{
	if (!strcmp(command, "probe")) {
		printf("value %d\n", thrower(0));
	} else if (!strcmp(command, "round")) {
		char *text = nullptr;
		size_t size = 0;
		FILE *f = open_memstream(&text, &size);
		run(f);
		fclose(f);
		for (char *p = text; (p = strchr(p, '\n'));)
			*p = ';';
		puts(text);
		free(text);
	} else if (!strcmp(command, "terminate")) {
		cleans(3);
	} else if (!strcmp(command, "stats")) {
		std::unique_lock lock(rest);
		printf("stats calls %lu wrong %lu alive %d\n", calls.load(), wrong.load(), Counted::alive.load());
	} else {
		printf("what is %s?\n", command);
	}
}

int main(int argc, char **argv)
{
	int threads = argc > 2 && !strcmp(argv[1], "-t") ? atoi(argv[2]) : 0;
	char line[64];

	setvbuf(stdout, nullptr, _IOLBF, 0);
	for (int i = 0; i < threads; i++)
		std::thread(worker).detach();
	printf("ready %d\n", getpid());
	while (fgets(line, sizeof(line), stdin)) {
		line[strcspn(line, "\n")] = '\0';
		obey(line);
	}
	return 0;
}
