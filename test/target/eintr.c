// SPDX-License-Identifier: GPL-2.0
/*
 * Threads that sleep in system calls that ptrace, SIGSTOP, the cgroup freezer or TWA_SIGNAL would interrupt or restart:
 * the sixteen calls of lpatch's requirement. Each thread reports if its call ever returns.
 *
 *	eintr
 *
 * Prints "ready PID" when all of them sleep. Answers a line on standard input with "stats threads N returned N eintr
 * N". The parent also counts SIGCHLD and stop states, which no freeze may cause.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/aio_abi.h>
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/select.h>
#include <sys/sem.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

int value(int x);

static atomic_int returned, interrupted;

static int pair[2], pipe_fd[2];

static long call_epoll_wait(void)
{
	struct epoll_event e;

	return epoll_wait(epoll_create1(0), &e, 1, -1);
}

static long call_recv_timeout(void)
{
	struct timeval hour = { .tv_sec = 3600 };
	int fd[2];
	char c;

	socketpair(AF_UNIX, SOCK_STREAM, 0, fd);
	setsockopt(fd[0], SOL_SOCKET, SO_RCVTIMEO, &hour, sizeof(hour));
	return recv(fd[0], &c, 1, 0);
}

static long call_sigtimedwait(void)
{
	struct timespec hour = { .tv_sec = 3600 };
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	return sigtimedwait(&set, NULL, &hour);
}

static long call_semop(void)
{
	struct sembuf op = { .sem_op = -1 };

	return semop(semget(IPC_PRIVATE, 1, 0600), &op, 1);
}

static long call_io_getevents(void)
{
	aio_context_t ctx = 0;
	struct io_event e;

	syscall(SYS_io_setup, 1, &ctx);
	return syscall(SYS_io_getevents, ctx, 1, 1, &e, NULL);
}

static long call_poll(void)
{
	struct pollfd p = { .fd = pair[0], .events = POLLIN };

	return poll(&p, 1, -1);
}

static long call_select(void)
{
	fd_set set;

	FD_ZERO(&set);
	FD_SET(pair[0], &set);
	return select(pair[0] + 1, &set, NULL, NULL, NULL);
}

static long call_nanosleep(void)
{
	struct timespec hour = { .tv_sec = 3600 };

	return nanosleep(&hour, NULL);
}

static long call_futex(void)
{
	int word = 0;

	return syscall(SYS_futex, &word, FUTEX_WAIT, 0, NULL, NULL, 0);
}

static long call_futex_timeout(void)
{
	struct timespec hour = { .tv_sec = 3600 };
	int word = 0;

	return syscall(SYS_futex, &word, FUTEX_WAIT, 0, &hour, NULL, 0);
}

static long call_pipe_read(void)
{
	char c;

	return read(pipe_fd[0], &c, 1);
}

static long call_accept(void)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	bind(fd, (struct sockaddr *)&addr, sizeof(sa_family_t)); /* autobind */
	listen(fd, 1);
	return accept(fd, NULL, NULL);
}

static long call_recv(void)
{
	char c;

	return recv(pair[1], &c, 1, 0);
}

static long call_msgrcv(void)
{
	struct { long type; char text[1]; } m;

	return msgrcv(msgget(IPC_PRIVATE, 0600), &m, 1, 0, 0);
}

static long call_pause(void)
{
	return pause();
}

static long call_inotify_read(void)
{
	char buf[512];
	int fd = inotify_init1(0);

	inotify_add_watch(fd, "/proc/self/root", IN_DELETE_SELF);
	return read(fd, buf, sizeof(buf));
}

static const struct {
	const char *name;
	long (*fn)(void);
} all[] = {
	{ "epoll_wait", call_epoll_wait },
	{ "recv with SO_RCVTIMEO", call_recv_timeout },
	{ "sigtimedwait", call_sigtimedwait },
	{ "semop", call_semop },
	{ "io_getevents", call_io_getevents },
	{ "poll", call_poll },
	{ "select", call_select },
	{ "nanosleep", call_nanosleep },
	{ "futex", call_futex },
	{ "futex with timeout", call_futex_timeout },
	{ "pipe read", call_pipe_read },
	{ "accept", call_accept },
	{ "recv", call_recv },
	{ "msgrcv", call_msgrcv },
	{ "pause", call_pause },
	{ "inotify read", call_inotify_read },
};

#define NR (sizeof(all) / sizeof(all[0]))

static atomic_int tids[NR];

static void *sleeper(void *arg)
{
	size_t i = (size_t)arg;
	long ret;
	int err;

	atomic_store(&tids[i], (int)syscall(SYS_gettid));
	ret = all[i].fn();
	err = errno;
	atomic_fetch_add(&returned, 1);
	if (ret < 0 && err == EINTR)
		atomic_fetch_add(&interrupted, 1);
	fprintf(stderr, "eintr: %s returned %ld (%s)\n", all[i].name, ret, ret < 0 ? strerror(err) : "no error");
	return NULL;
}

/* Waits until the thread sleeps in the kernel (state S). */
static void wait_asleep(int tid)
{
	struct timespec ms = { .tv_nsec = 1000000 };
	char path[64], stat[256], *state;
	FILE *f;

	for (;;) {
		nanosleep(&ms, NULL);
		snprintf(path, sizeof(path), "/proc/self/task/%d/stat", tid);
		f = fopen(path, "r");
		if (!f || !fgets(stat, sizeof(stat), f)) {
			perror("eintr: the state of a thread");
			exit(1);
		}
		fclose(f);
		state = strrchr(stat, ')') + 2;
		if (*state == 'S')
			return;
	}
}

int main(void)
{
	char line[64];
	pthread_t t;

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) || pipe(pipe_fd))
		return 1;
	for (size_t i = 0; i < NR; i++) {
		if (pthread_create(&t, NULL, sleeper, (void *)i))
			return 1;
		while (!atomic_load(&tids[i]))
			sched_yield();
		wait_asleep(atomic_load(&tids[i]));
	}
	printf("ready %d\n", getpid());
	while (fgets(line, sizeof(line), stdin)) {
		if (!strcmp(line, "value\n"))
			printf("value %d\n", value(0));
		else
			printf("stats threads %zu returned %d eintr %d\n", NR, atomic_load(&returned),
			       atomic_load(&interrupted));
	}
	return 0;
}
