// SPDX-License-Identifier: GPL-2.0
/*
 * limits HOW[,HOW…] PROGRAM: executes the program under the given conditions, and exits with its status:
 *
 *	as=N, data=N, stack=N, memlock=N, nofile=N, nproc=N, fsize=N, sigpending=N
 *			a resource limit, -1 for none
 *	personality=N	the bits of personality()
 *	mdwe		no memory may be both writable and executable, PR_SET_MDWE
 *	seccomp		a filter kills the process at mmap(); it needs no_new_privs, so a set-user-ID bit is ignored
 *	idle		SCHED_IDLE, nice 19, one CPU
 *	closed		no file descriptors
 *	traced		a parent traces each system call; a set-user-ID bit is ignored
 *	stopped		a parent stops and continues it all the time
 *	watched		other processes read its long command line all the time, and hold references on its mm
 *	starved		nice 19, with another process busy on the same CPU
 *
 * 100: the program could not be executed; 101: the parent saw it killed.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef PR_SET_MDWE
#define PR_SET_MDWE 65
#endif

#define HELPERS 8
#define ARGUMENT 100000

/* Conditions that need the parent of the program, or further children of it. */
static int traced, stopped, watched, starved;

static void no_mmap(void)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_mmap, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { .len = 4, .filter = filter };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program))
		perror("seccomp");
}

static void take_one_cpu(void)
{
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET(0, &one);
	sched_setaffinity(0, sizeof(one), &one);
}

static void be_idle(void)
{
	struct sched_param none = { 0 };

	take_one_cpu();
	sched_setscheduler(0, SCHED_IDLE, &none);
	setpriority(PRIO_PROCESS, 0, 19);
}

static int limit(const char *how)
{
	static const struct {
		const char *name;
		int resource;
	} all[] = {
		{ "as=", RLIMIT_AS }, { "data=", RLIMIT_DATA }, { "stack=", RLIMIT_STACK }, { "memlock=", RLIMIT_MEMLOCK },
		{ "nofile=", RLIMIT_NOFILE }, { "nproc=", RLIMIT_NPROC }, { "fsize=", RLIMIT_FSIZE },
		{ "sigpending=", RLIMIT_SIGPENDING },
	};

	for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++) {
		size_t len = strlen(all[i].name);
		rlim_t n;

		if (strncmp(how, all[i].name, len))
			continue;
		n = strtol(how + len, NULL, 0);
		return setrlimit(all[i].resource, &(struct rlimit){ n, n });
	}
	return -1;
}

static int condition(const char *how)
{
	if (!strncmp(how, "personality=", 12))
		return personality(strtoul(how + 12, NULL, 0)) < 0;
	if (!strcmp(how, "mdwe"))
		prctl(PR_SET_MDWE, 1, 0, 0, 0); /* missing in old kernels */
	else if (!strcmp(how, "seccomp"))
		no_mmap();
	else if (!strcmp(how, "idle"))
		be_idle();
	else if (!strcmp(how, "closed"))
		close_range(0, ~0U, 0);
	else if (!strcmp(how, "traced"))
		traced = 1;
	else if (!strcmp(how, "stopped"))
		stopped = 1;
	else if (!strcmp(how, "watched"))
		watched = 1;
	else if (!strcmp(how, "starved"))
		starved = 1;
	else
		return limit(how);
	return 0;
}

static int exit_with(int status)
{
	return WIFEXITED(status) ? WEXITSTATUS(status) : 101;
}

static int stop_and_go(int pid)
{
	int status;

	while (!waitpid(pid, &status, WNOHANG)) {
		kill(pid, SIGSTOP);
		kill(pid, SIGCONT);
		usleep(rand() % 200);
	}
	return exit_with(status);
}

static int trace(int pid)
{
	int status;

	while (waitpid(pid, &status, 0) == pid && WIFSTOPPED(status))
		ptrace(PTRACE_SYSCALL, pid, 0, WSTOPSIG(status) == SIGTRAP ? 0 : WSTOPSIG(status));
	return exit_with(status);
}

static void watch(int pid)
{
	static char buf[2 * ARGUMENT];
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/cmdline", pid);
	for (;;) {
		int fd = open(path, O_RDONLY);

		while (read(fd, buf, sizeof(buf)) > 0)
			;
		close(fd);
	}
}

/* Runs helper processes until the program ends. */
static int with_help(int pid)
{
	int helpers[HELPERS], nr = watched ? HELPERS : 1, status;

	for (int i = 0; i < nr; i++) {
		helpers[i] = fork();
		if (helpers[i])
			continue;
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (watched)
			watch(pid);
		take_one_cpu();
		for (;;)
			__asm__ volatile("");
	}
	waitpid(pid, &status, 0);
	for (int i = 0; i < nr; i++)
		kill(helpers[i], SIGKILL);
	return exit_with(status);
}

/* Executes the program after a moment, when the helpers are busy. */
static int execute(char **argv)
{
	char *argument = calloc(1, ARGUMENT + 1), *more[] = { argv[0], argument, NULL };

	if (traced)
		ptrace(PTRACE_TRACEME, 0, 0, 0);
	if (starved) {
		take_one_cpu();
		setpriority(PRIO_PROCESS, 0, 19);
	}
	if (watched || starved)
		usleep(200000);
	memset(argument, 'x', ARGUMENT);
	execv(argv[0], watched ? more : argv);
	return 100;
}

int main(int argc, char **argv)
{
	int pid = 0;

	if (argc < 3)
		return 103;
	for (char *how = strtok(argv[1], ","); how; how = strtok(NULL, ",")) {
		if (condition(how)) {
			perror(how);
			return 103;
		}
	}
	if (traced || stopped || watched || starved)
		pid = fork();
	if (!pid)
		return execute(argv + 2);
	return traced ? trace(pid) : stopped ? stop_and_go(pid) : with_help(pid);
}
