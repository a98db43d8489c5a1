/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A file that cannot be read to its end. In their own user and mount namespaces, unprivileged users may mount FUSE and
 * be its server. This server fails a number of reads with an error and never answers the next ones: a task that takes a
 * page fault on the file waits, with all locks that it holds, for as long as the server lives.
 */
#ifndef SILENT_H
#define SILENT_H

#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#define FOREVER (1 << 30)
#define SILENT_SIZE (1 << 20)

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static void put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY);

	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		die(path);
	close(fd);
}

static void answer(int fd, uint64_t unique, int error, const void *data, size_t len)
{
	static char buf[8192];
	struct fuse_out_header head = { .len = sizeof(head) + len, .error = error, .unique = unique };

	memcpy(buf, &head, sizeof(head));
	if (len)
		memcpy(buf + sizeof(head), data, len);
	if (write(fd, buf, head.len) < 0 && errno != ENOENT)
		perror("answer");
}

static struct fuse_attr attributes(uint64_t node)
{
	return (struct fuse_attr){ .ino = node, .nlink = 1, .blksize = 4096,
		.mode = node == 1 ? S_IFDIR | 0755 : S_IFREG | 0666, .size = node == 1 ? 0 : SILENT_SIZE };
}

/* Answers a request. Returns true for a read after @errors reads were answered, which gets no answer. */
static int serve(int fd, const struct fuse_in_header *head, int *errors)
{
	struct fuse_init_out init = { .major = 7, .minor = 31, .max_readahead = 4096, .flags = FUSE_ASYNC_READ, .max_write = 4096 };
	struct fuse_entry_out entry = { .nodeid = 2, .entry_valid = FOREVER, .attr_valid = FOREVER, .attr = attributes(2) };
	struct fuse_attr_out attr = { .attr_valid = FOREVER, .attr = attributes(head->nodeid) };
	struct fuse_open_out opened = { .open_flags = FOPEN_KEEP_CACHE };
	struct fuse_statfs_out stat = { .st = { .bsize = 4096, .namelen = 255 } };

	switch (head->opcode) {
	case FUSE_INIT:
		answer(fd, head->unique, 0, &init, sizeof(init));
		break;
	case FUSE_LOOKUP:
		answer(fd, head->unique, 0, &entry, sizeof(entry));
		break;
	case FUSE_GETATTR:
		answer(fd, head->unique, 0, &attr, sizeof(attr));
		break;
	case FUSE_OPEN:
		answer(fd, head->unique, 0, &opened, sizeof(opened));
		break;
	case FUSE_READ:
		if ((*errors)-- <= 0)
			return 1;
		answer(fd, head->unique, -EIO, NULL, 0);
		break;
	case FUSE_STATFS: /* for an overlay */
		answer(fd, head->unique, 0, &stat, sizeof(stat));
		break;
	case FUSE_FORGET:
	case FUSE_INTERRUPT:
		break;
	default:
		answer(fd, head->unique, -ENOSYS, NULL, 0);
	}
	return 0;
}

/* Writes a byte to @told for each read that it does not answer. */
static void server(int fd, int errors, int told)
{
	static char buf[1 << 17];

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (;;) {
		if (read(fd, buf, sizeof(buf)) < 0) {
			if (errno == ENOENT || errno == EINTR)
				continue;
			exit(0);
		}
		if (serve(fd, (void *)buf, &errors) && write(told, "", 1) != 1)
			exit(0);
	}
}

/* Returns a descriptor of the file. @told: receives a byte for each read that is not answered. */
static int silent_file(int errors, int *told)
{
	char options[128], map[64];
	uid_t uid = getuid();
	int fd, p[2];

	if (unshare(CLONE_NEWUSER | CLONE_NEWNS))
		die("unshare");
	put("/proc/self/setgroups", "deny");
	snprintf(map, sizeof(map), "%d %d 1", uid, uid);
	put("/proc/self/uid_map", map);
	put("/proc/self/gid_map", map);
	fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	snprintf(options, sizeof(options), "fd=%d,rootmode=40755,user_id=%d,group_id=%d", fd, uid, uid);
	/* Other mount namespaces do not see it. */
	if (fd < 0 || mount("silent", "/tmp", "fuse", MS_NOSUID | MS_NODEV, options) || pipe(p))
		die("fuse");
	if (!fork())
		server(fd, errors, p[1]);
	close(fd);
	close(p[1]);
	*told = p[0];
	fd = open("/tmp/file", O_RDONLY);
	if (fd < 0)
		die("/tmp/file");
	return fd;
}

#endif
