// SPDX-License-Identifier: GPL-2.0
/* Netlink dumps: lists that span several messages. */

#include <linux/pid_namespace.h>
#include <linux/sched.h>
#include <net/genetlink.h>

#include "boot.h"
#include "gate.h"
#include "netlink.h"
#include "nl_gen.h"
#include "patch.h"
#include "report.h"
#include "target.h"

/* The family's pre_doit is not called for dumps. */
static int lp_dump_start(struct netlink_callback *cb)
{
	if (lpatch_permitted(cb->skb))
		return 0;
	return lpatch_not_permitted(cb->extack);
}

int lpatch_nl_status_get_start(struct netlink_callback *cb)
{
	return lp_dump_start(cb);
}

/*
 * How often one dump, in all its messages, may wait for a target's memory, LP_LOOK_PAUSE jiffies
 * each time.
 */
#define LP_DUMP_TRIES 20

/**
 * struct lp_dump - one message of a dump
 * @skb: the message
 * @cb: state of the whole dump. For a status, args[0] and args[1] are the ids of the last target
 *	and record in the previous message, since records may come and go between messages; args[2]
 *	is how many of LP_DUMP_TRIES are used up
 * @tries: how many are left
 */
struct lp_dump {
	struct sk_buff *skb;
	struct netlink_callback *cb;
	unsigned int tries;
};

static void *lp_dump_head(const struct lp_dump *dump, u8 cmd)
{
	return genlmsg_put(dump->skb, NETLINK_CB(dump->cb->skb).portid, dump->cb->nlh->nlmsg_seq,
			   &lpatch_family, NLM_F_MULTI, cmd);
}

static int lp_dump_record(struct lp_target *target, struct lp_record *record, bool locked, void *arg)
{
	struct lp_dump *dump = arg;
	long *last = dump->cb->args;
	void *head;

	if ((long)target->id < last[0] || ((long)target->id == last[0] && (long)record->id <= last[1]))
		return 0;
	head = lp_dump_head(dump, LPATCH_CMD_STATUS_GET);
	if (!head)
		return -EMSGSIZE;
	if (lpatch_report_record(dump->skb, target, record, LP_CLIENT, locked ? &dump->tries : NULL)) {
		genlmsg_cancel(dump->skb, head);
		return -EMSGSIZE;
	}
	genlmsg_end(dump->skb, head);
	last[0] = target->id;
	last[1] = record->id;
	return 0;
}

int lpatch_nl_status_get_dumpit(struct sk_buff *skb, struct netlink_callback *cb)
{
	struct lp_dump dump = { .skb = skb, .cb = cb, .tries = LP_DUMP_TRIES - cb->args[2] };

	lpatch_records_each(cb->args[0], lp_dump_record, &dump);
	cb->args[2] = LP_DUMP_TRIES - dump.tries;
	return skb->len;
}

int lpatch_nl_gates_get_start(struct netlink_callback *cb)
{
	return lp_dump_start(cb);
}

/*
 * lpatch_gate_lock held: the thread cannot pass its gate, so it has not been reaped. The leader of
 * its group cannot be freed while interrupts are disabled.
 */
static int lp_dump_gate(struct lp_gate *gate, void *arg)
{
	struct pid_namespace *reader = task_active_pid_ns(current);
	struct lp_dump *dump = arg;
	char comm[TASK_COMM_LEN];
	void *head;

	head = lp_dump_head(dump, LPATCH_CMD_GATES_GET);
	if (!head)
		return -EMSGSIZE;
	/* It may change concurrently, but is always NUL-terminated. */
	strscpy_pad(comm, gate->task->group_leader->comm, sizeof(comm));
	if (nla_put_u32(dump->skb, LPATCH_A_GATE_TID, task_pid_nr_ns(gate->task, reader)) ||
	    nla_put_u32(dump->skb, LPATCH_A_GATE_PID, task_tgid_nr_ns(gate->task, reader)) ||
	    nla_put_string(dump->skb, LPATCH_A_GATE_COMM, comm)) {
		genlmsg_cancel(dump->skb, head);
		return -EMSGSIZE;
	}
	genlmsg_end(dump->skb, head);
	return 0;
}

int lpatch_nl_gates_get_dumpit(struct sk_buff *skb, struct netlink_callback *cb)
{
	struct lp_dump dump = { .skb = skb, .cb = cb };

	/* Full messages are no error: the walk goes on in the next one. */
	lpatch_gates_each(cb->args, lp_dump_gate, &dump);
	return skb->len;
}

int lpatch_nl_boot_get_start(struct netlink_callback *cb)
{
	return lp_dump_start(cb);
}

static int lp_dump_boot(const struct lp_boot_info *boot, void *arg)
{
	struct lp_dump *dump = arg;
	void *head;

	head = lp_dump_head(dump, LPATCH_CMD_BOOT_GET);
	if (!head)
		return -EMSGSIZE;
	if (nla_put(dump->skb, LPATCH_A_BOOT_HASH, LPATCH_HASH_LEN, boot->patch->hash) ||
	    nla_put_u32(dump->skb, LPATCH_A_BOOT_FLAGS, boot->flags) ||
	    nla_put_string(dump->skb, LPATCH_A_BOOT_PATCH, boot->patch->name) ||
	    nla_put_u64_64bit(dump->skb, LPATCH_A_BOOT_APPLIED, boot->applied, LPATCH_A_BOOT_PAD) ||
	    nla_put_u64_64bit(dump->skb, LPATCH_A_BOOT_FAILED, boot->failed, LPATCH_A_BOOT_PAD) ||
	    (boot->message[0] &&
	     nla_put_string(dump->skb, LPATCH_A_BOOT_MESSAGE, boot->message))) {
		genlmsg_cancel(dump->skb, head);
		return -EMSGSIZE;
	}
	genlmsg_end(dump->skb, head);
	return 0;
}

int lpatch_nl_boot_get_dumpit(struct sk_buff *skb, struct netlink_callback *cb)
{
	struct lp_dump dump = { .skb = skb, .cb = cb };

	/* Full messages are no error: the walk goes on in the next one. */
	lpatch_boot_each(cb->args, lp_dump_boot, &dump);
	return skb->len;
}
