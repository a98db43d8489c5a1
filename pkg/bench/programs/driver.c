// SPDX-License-Identifier: GPL-2.0
/*
 * The parent of the program that the benchmark stops, and the other ways to stop it: driver PROGRAM [ARGUMENT]…
 *
 * A line "stop WAY WHAT N" on standard input stops the program in the given WAY, writes N jumps (WHAT is apply) or the
 * bytes that were there (restore), and lets it go on; the answer is "stop NS", from the first thread that is told to stop to
 * the last that is told to go on. All other lines are for the program, and its answers are passed on.
 *
 * Each way is as fast as it can be made: whatever need not happen while the program stands still is done before or after, the
 * driver has real-time priority meanwhile, and it looks at no thread's registers or stack, which the program is made for.
 */

#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define FUNCTIONS 1000
#define STRIDE 256 /* of functions; that of what replaces them: */
#define REPLACEMENT_STRIDE 16
#define JUMP 5

static pid_t pid;
static FILE *to, *from;
static uint64_t functions, replacements;
static int mem;
static unsigned char old[FUNCTIONS][JUMP], jumps[FUNCTIONS][JUMP];
static pid_t *tids;
static size_t nr_tids;
static char cgroup[128];
static int freeze_fd, events_fd;

static __attribute__((format(printf, 1, 2), noreturn)) void die(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	fprintf(stderr, "driver: ");
	vfprintf(stderr, fmt, args);
	fprintf(stderr, ": %s\n", strerror(errno));
	va_end(args);
	exit(1);
}

static long now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000L + t.tv_nsec;
}

static void launch(char **argv)
{
	int in[2], out[2];

	if (pipe2(in, O_CLOEXEC) || pipe2(out, O_CLOEXEC))
		die("pipe");
	pid = fork();
	if (pid < 0)
		die("fork");
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		dup2(in[0], 0);
		dup2(out[1], 1);
		execv(argv[0], argv);
		die("%s", argv[0]);
	}
	close(in[0]);
	close(out[1]);
	to = fdopen(in[1], "w");
	from = fdopen(out[0], "r");
	setvbuf(to, NULL, _IOLBF, 0);
}

/* Reads the program's first line, and what is at its functions. */
static void meet(void)
{
	char line[128], path[64];

	if (!fgets(line, sizeof(line), from) ||
	    sscanf(line, "ready %*d %lx %lx", &functions, &replacements) != 2)
		die("the program did not get ready");
	snprintf(path, sizeof(path), "/proc/%d/mem", pid);
	mem = open(path, O_RDWR | O_CLOEXEC);
	if (mem < 0)
		die("%s", path);
	for (long i = 0; i < FUNCTIONS; i++) {
		uint64_t at = functions + i * STRIDE;
		int32_t rel = replacements + i * REPLACEMENT_STRIDE - (at + JUMP);

		if (pread(mem, old[i], JUMP, at) != JUMP)
			die("reading function %ld", i);
		jumps[i][0] = 0xe9;
		memcpy(&jumps[i][1], &rel, sizeof(rel));
	}
	fputs(line, stdout);
}

/* The only thing that all ways do alike, in the window. */
static void overwrite(unsigned char bytes[][JUMP], int n)
{
	for (long i = 0; i < n; i++)
		if (pwrite(mem, bytes[i], JUMP, functions + i * STRIDE) != JUMP)
			die("writing function %ld", i);
}

/* Lists the threads; the program creates none after it got ready. */
static void list_threads(void)
{
	char path[64];
	struct dirent *e;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	dir = opendir(path);
	if (!dir)
		die("%s", path);
	nr_tids = 0;
	while ((e = readdir(dir))) {
		if (e->d_name[0] == '.')
			continue;
		tids = realloc(tids, (nr_tids + 1) * sizeof(*tids));
		tids[nr_tids++] = atoi(e->d_name);
	}
	closedir(dir);
}

static void await_stop(pid_t tid)
{
	int status;

	if (waitpid(tid, &status, __WALL) != tid || !WIFSTOPPED(status))
		die("waiting for thread %d", tid);
}

static void detach_all(void)
{
	for (size_t i = 0; i < nr_tids; i++)
		if (ptrace(PTRACE_DETACH, tids[i], 0, 0))
			die("detaching from thread %d", tids[i]);
}

/* All threads are seized before; in the window all are told to stop before the first is waited for. */
static long by_seize(unsigned char bytes[][JUMP], int n)
{
	long began;

	list_threads();
	for (size_t i = 0; i < nr_tids; i++)
		if (ptrace(PTRACE_SEIZE, tids[i], 0, 0))
			die("seizing thread %d", tids[i]);
	began = now_ns();
	for (size_t i = 0; i < nr_tids; i++)
		if (ptrace(PTRACE_INTERRUPT, tids[i], 0, 0))
			die("interrupting thread %d", tids[i]);
	for (size_t i = 0; i < nr_tids; i++)
		await_stop(tids[i]);
	overwrite(bytes, n);
	detach_all();
	return now_ns() - began;
}

/* One thread after another, as libpulp, libcare and gdb do it. */
static long by_attach(unsigned char bytes[][JUMP], int n)
{
	long began;

	list_threads();
	began = now_ns();
	for (size_t i = 0; i < nr_tids; i++) {
		if (ptrace(PTRACE_ATTACH, tids[i], 0, 0))
			die("attaching to thread %d", tids[i]);
		await_stop(tids[i]);
	}
	overwrite(bytes, n);
	detach_all();
	return now_ns() - began;
}

/* The parent is told when the last thread has stopped. */
static long by_sigstop(unsigned char bytes[][JUMP], int n)
{
	long began = now_ns(), ns;
	siginfo_t info;

	if (kill(pid, SIGSTOP) || waitid(P_PID, pid, &info, WSTOPPED))
		die("SIGSTOP");
	overwrite(bytes, n);
	if (kill(pid, SIGCONT))
		die("SIGCONT");
	ns = now_ns() - began;
	if (waitid(P_PID, pid, &info, WCONTINUED))
		die("SIGCONT");
	return ns;
}

static int open_in_cgroup(const char *name, int flags)
{
	char path[256];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", cgroup, name);
	fd = open(path, flags | O_CLOEXEC);
	if (fd < 0)
		die("%s", path);
	return fd;
}

/* Puts the program into a cgroup of its own. */
static void make_cgroup(void)
{
	char path[160];
	int fd;

	if (cgroup[0])
		return;
	snprintf(path, sizeof(path), "/sys/fs/cgroup/lpatch-bench-%d", pid);
	if (mkdir(path, 0755))
		die("%s", path);
	strcpy(cgroup, path);
	fd = open_in_cgroup("cgroup.procs", O_WRONLY);
	if (dprintf(fd, "%d", pid) < 0)
		die("moving the program to %s", cgroup);
	close(fd);
	freeze_fd = open_in_cgroup("cgroup.freeze", O_WRONLY);
	events_fd = open_in_cgroup("cgroup.events", O_RDONLY);
}

static int is_frozen(void)
{
	char text[128];
	ssize_t n = pread(events_fd, text, sizeof(text) - 1, 0);

	if (n < 0)
		die("%s/cgroup.events", cgroup);
	text[n] = '\0';
	return !!strstr(text, "frozen 1");
}

static long by_freezer(unsigned char bytes[][JUMP], int n)
{
	struct pollfd events = { .events = POLLPRI };
	long began, ns;

	make_cgroup();
	events.fd = events_fd;
	began = now_ns();
	if (pwrite(freeze_fd, "1", 1, 0) != 1)
		die("freezing");
	while (!is_frozen())
		poll(&events, 1, 1000);
	overwrite(bytes, n);
	if (pwrite(freeze_fd, "0", 1, 0) != 1)
		die("thawing");
	ns = now_ns() - began;
	while (is_frozen())
		poll(&events, 1, 1000);
	return ns;
}

static const struct {
	const char *name;
	long (*stop)(unsigned char bytes[][JUMP], int n);
} ways[] = {
	{ "ptrace-seize", by_seize },
	{ "ptrace-attach", by_attach },
	{ "sigstop", by_sigstop },
	{ "cgroup-freezer", by_freezer },
};

static void set_priority(int policy)
{
	struct sched_param param = { .sched_priority = policy == SCHED_FIFO ? 50 : 0 };

	sched_setscheduler(0, policy, &param); /* without the right to, it is as it is */
}

static void stop(const char *way, const char *what, int n)
{
	for (size_t i = 0; i < sizeof(ways) / sizeof(*ways); i++) {
		if (strcmp(ways[i].name, way) || n < 0 || n > FUNCTIONS)
			continue;
		set_priority(SCHED_FIFO);
		printf("stop %ld\n", ways[i].stop(strcmp(what, "apply") ? old : jumps, n));
		set_priority(SCHED_OTHER);
		return;
	}
	puts("what?");
}

int main(int argc, char **argv)
{
	char way[32], what[32], *line = NULL, *answer = NULL;
	size_t line_size = 0, answer_size = 0;
	int n;

	if (argc < 2) {
		fprintf(stderr, "usage: driver PROGRAM [ARGUMENT]...\n");
		return 2;
	}
	setvbuf(stdout, NULL, _IOLBF, 1 << 16);
	launch(argv + 1);
	meet();
	while (getline(&line, &line_size, stdin) > 0) {
		if (sscanf(line, "stop %31s %31s %d", way, what, &n) == 3) {
			stop(way, what, n);
			continue;
		}
		fputs(line, to);
		if (getline(&answer, &answer_size, from) <= 0)
			die("the program went away");
		fputs(answer, stdout);
		fflush(stdout);
	}
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	return cgroup[0] && rmdir(cgroup);
}
