// SPDX-License-Identifier: GPL-2.0
/*
 * Replaces a function of a running child process over the generic netlink family "lpatch", puts it
 * back, and looks at the child's answers each time; and what the family refuses.
 */

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/genetlink.h>
#include <linux/lpatch.h>
#include <linux/netlink.h>

#include "../kselftest.h"

#define PAGE		4096UL
#define PAGE_DOWN(x)	((x) & ~(PAGE - 1))
#define PAGE_UP(x)	PAGE_DOWN((x) + PAGE - 1)

/* Generous: the machine may be an emulated one. */
#define MAX_STOP_NS	2000000000ULL

/* The function that is replaced: mov eax, 1; ret. */
extern int answer(void);
asm(".pushsection .text\n\t"
	".type answer, @function\n"
	"answer:\n\t"
	"mov $1, %eax\n\t"
	"ret\n\t"
	".size answer, . - answer\n\t"
	".popsection\n");

/* What replaces it: mov eax, 2; ret. */
static const unsigned char new_code[] = { 0xb8, 2, 0, 0, 0, 0xc3 };

static const unsigned char hash[LPATCH_HASH_LEN] = "lpatch selftest";

/* A request, and what was answered. */
struct message {
	union {
		struct nlmsghdr nlh;
		char buf[8192];
	};
};

static int family;

static struct nlattr *put(struct message *m, int type, const void *data, size_t len)
{
	struct nlattr *attr = (void *)(m->buf + NLMSG_ALIGN(m->nlh.nlmsg_len));

	attr->nla_type = type;
	attr->nla_len = NLA_HDRLEN + len;
	memcpy((char *)attr + NLA_HDRLEN, data, len);
	m->nlh.nlmsg_len = NLMSG_ALIGN(m->nlh.nlmsg_len) + NLA_ALIGN(attr->nla_len);
	return attr;
}

static void put_u32(struct message *m, int type, __u32 value)
{
	put(m, type, &value, sizeof(value));
}

static void put_u64(struct message *m, int type, __u64 value)
{
	put(m, type, &value, sizeof(value));
}

static void put_string(struct message *m, int type, const char *s)
{
	put(m, type, s, strlen(s) + 1);
}

static struct nlattr *nest_start(struct message *m, int type)
{
	return put(m, type | NLA_F_NESTED, "", 0);
}

static void nest_end(struct message *m, struct nlattr *nest)
{
	nest->nla_len = m->buf + m->nlh.nlmsg_len - (char *)nest;
}

static void request(struct message *m, int type, int command, int version)
{
	struct genlmsghdr *genl = NLMSG_DATA(&m->nlh);

	memset(m, 0, sizeof(*m));
	m->nlh.nlmsg_type = type;
	m->nlh.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
	m->nlh.nlmsg_len = NLMSG_LENGTH(GENL_HDRLEN);
	genl->cmd = command;
	genl->version = version;
}

static void lpatch_request(struct message *m, int command)
{
	request(m, family, command, LPATCH_FAMILY_VERSION);
}

/* The attribute @type among @len bytes of attributes, or NULL. */
static const struct nlattr *find(const void *attrs, int len, int type)
{
	while (len >= (int)NLA_HDRLEN) {
		const struct nlattr *attr = attrs;

		if ((attr->nla_type & NLA_TYPE_MASK) == type)
			return attr;
		attrs = (const char *)attrs + NLA_ALIGN(attr->nla_len);
		len -= NLA_ALIGN(attr->nla_len);
	}
	return NULL;
}

static const void *value(const struct nlattr *attr)
{
	return (const char *)attr + NLA_HDRLEN;
}

static __u32 u32_of(const struct nlattr *attr)
{
	__u32 v = 0;

	if (attr)
		memcpy(&v, value(attr), sizeof(v));
	return v;
}

static const struct nlattr *find_reply(const struct message *m, int type)
{
	return find((const char *)NLMSG_DATA(&m->nlh) + GENL_HDRLEN,
		    m->nlh.nlmsg_len - NLMSG_LENGTH(GENL_HDRLEN), type);
}

/* Sends a request. Return: the error of the acknowledgment; @reply gets the answer before it. */
static int talk(int sock, struct message *m, struct message *reply)
{
	struct message got;

	if (send(sock, m, m->nlh.nlmsg_len, 0) < 0)
		ksft_exit_fail_msg("send: %s\n", strerror(errno));
	for (;;) {
		ssize_t n = recv(sock, &got, sizeof(got), 0);

		if (n < (ssize_t)NLMSG_HDRLEN)
			ksft_exit_fail_msg("recv: %s\n", strerror(errno));
		if (got.nlh.nlmsg_type == NLMSG_ERROR)
			return ((struct nlmsgerr *)NLMSG_DATA(&got.nlh))->error;
		if (reply)
			*reply = got;
	}
}

static int open_netlink(void)
{
	struct timeval patience = { .tv_sec = 60 };
	int sock = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_GENERIC);

	if (sock < 0)
		ksft_exit_fail_msg("socket: %s\n", strerror(errno));
	setsockopt(sock, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	return sock;
}

static void find_family(int sock)
{
	struct message m, reply;

	request(&m, GENL_ID_CTRL, CTRL_CMD_GETFAMILY, 1);
	put_string(&m, CTRL_ATTR_FAMILY_NAME, LPATCH_FAMILY_NAME);
	if (talk(sock, &m, &reply))
		ksft_exit_skip("this kernel has no lpatch, or it is not loaded\n");
	family = *(const __u16 *)value(find_reply(&reply, CTRL_ATTR_FAMILY_ID));
}

/* Where this program is, at run time and at link time. */
struct image {
	__u64 base, start, end, text_offset, text_vaddr;
};

static int look(struct dl_phdr_info *info, size_t size, void *data)
{
	struct image *image = data;
	int i;

	image->base = info->dlpi_addr;
	image->start = UINT64_MAX;
	for (i = 0; i < info->dlpi_phnum; i++) {
		const Elf64_Phdr *p = &info->dlpi_phdr[i];

		if (p->p_type != PT_LOAD)
			continue;
		if (PAGE_DOWN(p->p_vaddr) < image->start)
			image->start = PAGE_DOWN(p->p_vaddr);
		image->end = PAGE_UP(p->p_vaddr + p->p_memsz);
		if (p->p_flags & PF_X) {
			image->text_offset = PAGE_DOWN(p->p_offset);
			image->text_vaddr = PAGE_DOWN(p->p_vaddr);
		}
	}
	return 1; /* the first is the program itself */
}

/* Return: a descriptor of a file that has a page with the new code. */
static int patch_file(void)
{
	char page[PAGE] = {}, path[] = "/tmp/lpatch_test.XXXXXX";
	int out = mkstemp(path), in;

	memcpy(page, new_code, sizeof(new_code));
	if (out < 0 || write(out, page, sizeof(page)) != sizeof(page) || close(out))
		ksft_exit_fail_msg("%s: %s\n", path, strerror(errno));
	in = open(path, O_RDONLY | O_CLOEXEC);
	if (in < 0)
		ksft_exit_fail_msg("%s: %s\n", path, strerror(errno));
	unlink(path);
	return in;
}

static void put_tables(struct message *m)
{
	struct image image = {};
	struct nlattr *nest;
	__u64 place;

	dl_iterate_phdr(look, &image);
	place = (__u64)answer - image.base;

	nest = nest_start(m, LPATCH_A_PATCH_IMAGE);
	put_string(m, LPATCH_A_IMAGE_NAME, "lpatch_test");
	put_u32(m, LPATCH_A_IMAGE_FD, open("/proc/self/exe", O_RDONLY | O_CLOEXEC));
	put_u32(m, LPATCH_A_IMAGE_FLAGS,
		LPATCH_IMAGE_FLAGS_NEAR | (image.base ? 0 : LPATCH_IMAGE_FLAGS_FIXED));
	put_u64(m, LPATCH_A_IMAGE_TEXT_OFFSET, image.text_offset);
	put_u64(m, LPATCH_A_IMAGE_TEXT_VADDR, image.text_vaddr);
	put_u64(m, LPATCH_A_IMAGE_SPAN_START, image.start);
	put_u64(m, LPATCH_A_IMAGE_SPAN_END, image.end);
	nest_end(m, nest);

	nest = nest_start(m, LPATCH_A_PATCH_SEGMENT);
	put_u64(m, LPATCH_A_SEGMENT_OFFSET, 0);
	put_u64(m, LPATCH_A_SEGMENT_VADDR, 0);
	put_u64(m, LPATCH_A_SEGMENT_SIZE, PAGE);
	put_u32(m, LPATCH_A_SEGMENT_PROT, LPATCH_SEGMENT_PROT_READ | LPATCH_SEGMENT_PROT_EXEC);
	nest_end(m, nest);

	nest = nest_start(m, LPATCH_A_PATCH_SITE);
	put_u32(m, LPATCH_A_SITE_KIND, LPATCH_SITE_KIND_JUMP);
	put_string(m, LPATCH_A_SITE_SYMBOL, "answer");
	put_u32(m, LPATCH_A_SITE_IMAGE, 0);
	put_u64(m, LPATCH_A_SITE_VADDR, place);
	put(m, LPATCH_A_SITE_OLD, (const void *)answer, 5);
	put_u64(m, LPATCH_A_SITE_TARGET, 0);
	nest_end(m, nest);

	nest = nest_start(m, LPATCH_A_PATCH_FUNCTION);
	put_string(m, LPATCH_A_FUNCTION_SYMBOL, "answer");
	put_u32(m, LPATCH_A_FUNCTION_IMAGE, 0);
	put_u64(m, LPATCH_A_FUNCTION_START, place);
	put_u64(m, LPATCH_A_FUNCTION_END, place + sizeof(new_code));
	nest_end(m, nest);
}

static int transfer(int sock)
{
	struct message m, reply;
	__u32 id;
	int ret;

	lpatch_request(&m, LPATCH_CMD_PATCH_NEW);
	put_string(&m, LPATCH_A_PATCH_NAME, "selftest");
	put(&m, LPATCH_A_PATCH_HASH, hash, sizeof(hash));
	put_u32(&m, LPATCH_A_PATCH_FD, patch_file());
	ret = talk(sock, &m, &reply);
	if (ret)
		return ret;
	id = u32_of(find_reply(&reply, LPATCH_A_PATCH_ID));

	lpatch_request(&m, LPATCH_CMD_PATCH_ADD);
	put_u32(&m, LPATCH_A_PATCH_ID, id);
	put_tables(&m);
	ret = talk(sock, &m, NULL);
	if (ret)
		return ret;
	lpatch_request(&m, LPATCH_CMD_PATCH_SEAL);
	put_u32(&m, LPATCH_A_PATCH_ID, id);
	return talk(sock, &m, NULL);
}

/* Return: the refusal in the report, or a negative error. */
static int operate(int sock, int command, pid_t pid)
{
	const struct nlattr *report, *attr;
	struct message m, reply;
	int ret;

	lpatch_request(&m, command);
	put(&m, LPATCH_A_OP_HASH, hash, sizeof(hash));
	put_u32(&m, LPATCH_A_OP_PID, pid);
	put_u64(&m, LPATCH_A_OP_MAX_STOP, MAX_STOP_NS);
	ret = talk(sock, &m, &reply);
	if (ret)
		return ret;
	report = find_reply(&reply, LPATCH_A_OP_REPORT);
	if (!report)
		return -ENOMSG;
	attr = find(value(report), report->nla_len - NLA_HDRLEN, LPATCH_A_REPORT_MESSAGE);
	if (attr)
		ksft_print_msg("%s\n", (const char *)value(attr));
	return u32_of(find(value(report), report->nla_len - NLA_HDRLEN, LPATCH_A_REPORT_REFUSAL));
}

/* A process that answers each byte that it is sent with one that answer() returns. */
struct child {
	pid_t pid;
	int sock;
};

static struct child start_child(void)
{
	struct child c;
	int pair[2];
	char byte;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
		ksft_exit_fail_msg("socketpair: %s\n", strerror(errno));
	c.sock = pair[0];
	c.pid = fork();
	if (c.pid < 0)
		ksft_exit_fail_msg("fork: %s\n", strerror(errno));
	if (c.pid)
		return c;
	close(pair[0]);
	while (read(pair[1], &byte, 1) == 1) {
		byte = answer();
		if (write(pair[1], &byte, 1) != 1)
			break;
	}
	_exit(0);
}

static int ask(const struct child *c)
{
	char byte = 0;

	if (write(c->sock, &byte, 1) != 1 || read(c->sock, &byte, 1) != 1)
		return -1;
	return byte;
}

static void test_info(int sock)
{
	const struct nlattr *version;
	struct message m, reply;
	int ret;

	lpatch_request(&m, LPATCH_CMD_INFO_GET);
	ret = talk(sock, &m, &reply);
	version = ret ? NULL : find_reply(&reply, LPATCH_A_INFO_VERSION);
	ksft_test_result(version, "info-get names the version\n");
}

static void test_round(int sock)
{
	static const struct {
		int command, answer;
		const char *name;
	} steps[] = {
		{ LPATCH_CMD_LOAD, 1, "load changes nothing" },
		{ LPATCH_CMD_APPLY, 2, "apply replaces the function" },
		{ LPATCH_CMD_RESTORE, 1, "restore puts it back" },
		{ LPATCH_CMD_UNLOAD, 1, "unload changes nothing" },
	};
	struct child c = start_child();
	unsigned int i;

	ksft_test_result(ask(&c) == 1, "the child is itself\n");
	for (i = 0; i < ARRAY_SIZE(steps); i++) {
		int ret = operate(sock, steps[i].command, c.pid), got = ask(&c);

		if (ret || got != steps[i].answer)
			ksft_print_msg("error or refusal %d, answer %d\n", ret, got);
		ksft_test_result(!ret && got == steps[i].answer, "%s\n", steps[i].name);
	}
	ksft_test_result(operate(sock, LPATCH_CMD_RESTORE, c.pid) == LPATCH_REFUSAL_NOT_LOADED,
			 "what is not loaded is not restored\n");
	kill(c.pid, SIGKILL);
	waitpid(c.pid, NULL, 0);
	ksft_test_result(operate(sock, LPATCH_CMD_APPLY, c.pid) == LPATCH_REFUSAL_TARGET_GONE,
			 "a process that has ended is refused\n");
}

static void test_unprivileged(void)
{
	pid_t pid = fork();
	int status = -1;

	if (!pid) {
		struct message m;

		if (setuid(65534))
			_exit(1);
		lpatch_request(&m, LPATCH_CMD_INFO_GET);
		_exit(talk(open_netlink(), &m, NULL) == -EPERM ? 0 : 2);
	}
	waitpid(pid, &status, 0);
	ksft_test_result(!status, "nobody else may ask\n");
}

int main(void)
{
	int sock;

	ksft_print_header();
	if (geteuid())
		ksft_exit_skip("must be run as root\n");
	sock = open_netlink();
	find_family(sock);
	ksft_set_plan(10);
	test_info(sock);
	test_unprivileged();
	ksft_test_result(!transfer(sock), "a patch is transferred\n");
	test_round(sock);
	ksft_finished();
}
