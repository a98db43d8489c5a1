// SPDX-License-Identifier: GPL-2.0
/*
 * The generic netlink family: parse, call, answer. Documentation/netlink/lpatch.yaml is the
 * contract. A malformed request is an error with an extack sentence. A refusal that depends on the
 * target is an answer with a report: extack has room for a literal on 6.1 and for 80 bytes later, a
 * report for a sentence with names and numbers, and the group "events" gets the same.
 *
 * Requests of several clients run in parallel; what they share is locked where it lives.
 */

#include <linux/capability.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/module.h>
#include <linux/netlink.h>
#include <linux/pid_namespace.h>
#include <net/genetlink.h>

#include "compat.h"
#include "gate.h"
#include "lineage.h"
#include "netlink.h"
#include "nl_gen.h"
#include "op.h"
#include "patch.h"
#include "report.h"
#include "target.h"

/* The longest stop that a client may allow. */
#define LP_MAX_STOP_MAX (10ULL * NSEC_PER_SEC)

/* The longest time that a client may have the kernel try. */
#define LP_TIMEOUT_MAX (3600ULL * NSEC_PER_SEC)

static struct genl_family lp_family;

static bool lp_permitted(struct sk_buff *skb)
{
	return netlink_capable(skb, CAP_SYS_ADMIN) && netlink_capable(skb, CAP_SYS_PTRACE);
}

static int lp_not_permitted(struct netlink_ext_ack *extack)
{
	NL_SET_ERR_MSG(extack,
		       "lpatch needs CAP_SYS_ADMIN and CAP_SYS_PTRACE in the initial user namespace");
	return -EPERM;
}

static int lp_pre_doit(const struct lp_genl_doit_ops *ops, struct sk_buff *skb,
		       struct genl_info *info)
{
	if (lp_permitted(skb))
		return 0;
	return lp_not_permitted(info->extack);
}

static struct sk_buff *lp_reply_new(struct genl_info *info, u8 cmd, void **head)
{
	struct sk_buff *skb = genlmsg_new(NLMSG_GOODSIZE, GFP_KERNEL);

	if (!skb)
		return NULL;
	*head = genlmsg_put_reply(skb, info, &lp_family, 0, cmd);
	if (*head)
		return skb;
	nlmsg_free(skb);
	return NULL;
}

static int lp_reply_send(struct sk_buff *skb, void *head, struct genl_info *info, int ret)
{
	if (ret) {
		nlmsg_free(skb);
		return ret;
	}
	genlmsg_end(skb, head);
	return genlmsg_reply(skb, info);
}

int lpatch_nl_info_get_doit(struct sk_buff *skb, struct genl_info *info)
{
	void *head;
	int ret;

	skb = lp_reply_new(info, LPATCH_CMD_INFO_GET, &head);
	if (!skb)
		return -ENOMEM;
	ret = nla_put_string(skb, LPATCH_A_INFO_VERSION, LPATCH_VERSION)		?:
		      nla_put_string(skb, LPATCH_A_INFO_TASK_WORK, lp_task_work_source) ?:
		      nla_put_u32(skb, LPATCH_A_INFO_PATCHES, lp_patch_count())		?:
		      nla_put_u32(skb, LPATCH_A_INFO_TARGETS, lp_target_count())	?:
		      nla_put_u32(skb, LPATCH_A_INFO_GATES, lp_gates_queued());
	return lp_reply_send(skb, head, info, ret);
}

static int lp_new_patch(struct genl_info *info, u32 *id)
{
	struct nlattr **attrs = info->attrs;
	struct lp_patch *patch;
	struct file *file;

	if (GENL_REQ_ATTR_CHECK(info, LPATCH_A_PATCH_NAME) ||
	    GENL_REQ_ATTR_CHECK(info, LPATCH_A_PATCH_FD)) {
		NL_SET_ERR_MSG(info->extack, "a new patch needs a name, a hash and an open file");
		return -EINVAL;
	}
	file = fget(nla_get_u32(attrs[LPATCH_A_PATCH_FD]));
	if (!file) {
		NL_SET_ERR_MSG_ATTR(info->extack, attrs[LPATCH_A_PATCH_FD],
				    "the patch's file descriptor is not open");
		return -EBADF;
	}
	if (!S_ISREG(file_inode(file)->i_mode)) {
		fput(file);
		NL_SET_ERR_MSG_ATTR(info->extack, attrs[LPATCH_A_PATCH_FD],
				    "the patch is not a regular file");
		return -EINVAL;
	}
	patch = lp_patch_new(info->snd_portid, nla_data(attrs[LPATCH_A_PATCH_NAME]),
			     nla_data(attrs[LPATCH_A_PATCH_HASH]), file, id);
	if (patch == ERR_PTR(-ETXTBSY))
		NL_SET_ERR_MSG_ATTR(info->extack, attrs[LPATCH_A_PATCH_FD],
				    "the patch file is open for writing");
	return PTR_ERR_OR_ZERO(patch);
}

/* Gives the client a hold on a patch, new or known: adds what the answer says. */
static int lp_put_patch_new(struct sk_buff *skb, struct genl_info *info)
{
	struct lp_patch *patch;
	u32 id = 0;
	int ret;

	patch = lp_patch_hold(info->snd_portid, nla_data(info->attrs[LPATCH_A_PATCH_HASH]));
	if (IS_ERR(patch))
		return PTR_ERR(patch);
	if (patch)
		return nla_put_flag(skb, LPATCH_A_PATCH_EXISTS);
	ret = lp_new_patch(info, &id);
	return ret ?: nla_put_u32(skb, LPATCH_A_PATCH_ID, id);
}

int lpatch_nl_patch_new_doit(struct sk_buff *skb, struct genl_info *info)
{
	struct sk_buff *reply;
	void *head;

	if (GENL_REQ_ATTR_CHECK(info, LPATCH_A_PATCH_HASH)) {
		NL_SET_ERR_MSG(info->extack, "a new patch needs a name, a hash and an open file");
		return -EINVAL;
	}
	reply = lp_reply_new(info, LPATCH_CMD_PATCH_NEW, &head);
	if (!reply)
		return -ENOMEM;
	return lp_reply_send(reply, head, info, lp_put_patch_new(reply, info));
}

/* The object in transfer that a request names, with a reference, or an ERR_PTR. */
static struct lp_patch *lp_patch_of(struct genl_info *info)
{
	struct nlattr *id = info->attrs[LPATCH_A_PATCH_ID];
	struct lp_patch *patch = id ? lp_patch_by_id(info->snd_portid, nla_get_u32(id)) : NULL;

	if (patch)
		return patch;
	NL_SET_ERR_MSG_ATTR(info->extack, id, "this socket has no patch of that id in transfer");
	return ERR_PTR(-ENOENT);
}

int lpatch_nl_patch_add_doit(struct sk_buff *skb, struct genl_info *info)
{
	struct lp_patch *patch = lp_patch_of(info);
	int ret;

	if (IS_ERR(patch))
		return PTR_ERR(patch);
	ret = lp_patch_add(patch, genlmsg_data(info->genlhdr), genlmsg_len(info->genlhdr),
			   info->extack);
	lp_patch_put(patch);
	return ret;
}

int lpatch_nl_patch_seal_doit(struct sk_buff *skb, struct genl_info *info)
{
	struct lp_patch *patch = lp_patch_of(info);
	int ret;

	if (IS_ERR(patch))
		return PTR_ERR(patch);
	ret = lp_patch_seal(patch, info->extack);
	lp_patch_put(patch);
	return ret;
}

static struct sk_buff *lp_event_new(void **head)
{
	struct sk_buff *skb = genlmsg_new(NLMSG_GOODSIZE, GFP_KERNEL);

	if (!skb)
		return NULL;
	*head = genlmsg_put(skb, 0, 0, &lp_family, 0, LPATCH_CMD_EVENT);
	if (*head)
		return skb;
	nlmsg_free(skb);
	return NULL;
}

/* Nobody may be listening. */
static void lp_event_send(struct sk_buff *skb, void *head, int ret)
{
	if (ret) {
		nlmsg_free(skb);
		return;
	}
	genlmsg_end(skb, head);
	genlmsg_multicast(&lp_family, skb, 0, LPATCH_NLGRP_EVENTS, GFP_KERNEL);
}

/* Tells of a patch that another one replaced. */
static int lp_notify_replaced(struct lp_target *target, struct lp_record *record, void *arg)
{
	const struct lp_op *op = arg;
	struct sk_buff *skb;
	void *head;

	if (record->state != LPATCH_STATE_RESTORED || record->since != op->since)
		return 0;
	skb = lp_event_new(&head);
	if (skb)
		lp_event_send(skb, head, lp_report_record(skb, target, record));
	return 0;
}

/* Tells the group of changes and refusals. */
static void lp_notify(struct lp_op *op)
{
	struct sk_buff *skb;
	void *head;

	if ((op->flags & LPATCH_OP_FLAGS_DRY_RUN) && op->refusal == LPATCH_REFUSAL_NONE)
		return;
	skb = lp_event_new(&head);
	if (skb)
		lp_event_send(skb, head, lp_report_op(skb, op));
	if (op->refusal == LPATCH_REFUSAL_NONE && (op->flags & LPATCH_OP_FLAGS_REPLACE))
		lp_target_each(op->target, lp_notify_replaced, op);
}

static u64 lp_limit(const struct nlattr *attr, u64 absent, u64 max)
{
	return attr ? min(nla_get_u64(attr), max) : absent;
}

static void lp_refuse_target(struct lp_op *op, u32 refusal)
{
	switch (refusal) {
	case LPATCH_REFUSAL_TARGET_KERNEL:
		lp_op_refuse(op, refusal,
			     "process %u is a kernel thread and has no memory to patch", op->pid);
		break;
	case LPATCH_REFUSAL_TARGET_CHANGED:
		lp_op_refuse(op, refusal, "pid %u belongs to another process by now", op->pid);
		break;
	case LPATCH_REFUSAL_NO_MEMORY:
		lp_op_refuse(op, refusal, "there is no memory for the record of process %u",
			     op->pid);
		break;
	default:
		lp_op_refuse(op, refusal, "there is no process %u", op->pid);
	}
}

/* Return: 0 if there is an outcome, or a negative errno with nothing done. */
static int lp_op_on(struct lp_op *op, u64 start_time)
{
	struct lp_target *target;
	u32 refusal;

	refusal = lp_target_open(op->pid, start_time, &target);
	if (refusal) {
		lp_refuse_target(op, refusal);
		return 0;
	}
	op->target = target;
	return lp_op_run(op);
}

/* The answer is allocated first: an operation that was done must not be told of as an error. */
static int lp_op_answer(struct lp_op *op, struct genl_info *info, u64 start_time, u8 cmd)
{
	struct sk_buff *skb;
	void *head;
	int ret;

	skb = lp_reply_new(info, cmd, &head);
	if (!skb)
		return -ENOMEM;
	ret = lp_op_on(op, start_time);
	if (!ret) {
		lp_notify(op);
		ret = lp_report_op(skb, op);
	}
	return lp_reply_send(skb, head, info, ret);
}

static int lp_op_doit(struct genl_info *info, enum lp_verb verb, u8 cmd)
{
	struct nlattr **attrs = info->attrs;
	struct nlattr *start_time;
	struct lp_op *op;
	int ret;

	if (GENL_REQ_ATTR_CHECK(info, LPATCH_A_OP_HASH) ||
	    GENL_REQ_ATTR_CHECK(info, LPATCH_A_OP_PID)) {
		NL_SET_ERR_MSG(info->extack, "an operation needs the hash of a patch and a pid");
		return -EINVAL;
	}
	if (verb != LP_APPLY && attrs[LPATCH_A_OP_FLAGS] &&
	    nla_get_u32(attrs[LPATCH_A_OP_FLAGS])) {
		NL_SET_ERR_MSG_ATTR(info->extack, attrs[LPATCH_A_OP_FLAGS],
				    "only an apply can be a dry run, or replace other patches");
		return -EINVAL;
	}
	op = lp_op_alloc(verb);
	if (!op)
		return -ENOMEM;
	op->pid = nla_get_u32(attrs[LPATCH_A_OP_PID]);
	op->flags = attrs[LPATCH_A_OP_FLAGS] ? nla_get_u32(attrs[LPATCH_A_OP_FLAGS]) : 0;
	op->max_stop =
		lp_limit(attrs[LPATCH_A_OP_MAX_STOP], LPATCH_MAX_STOP_DEFAULT, LP_MAX_STOP_MAX);
	op->allowed = genlmsg_data(info->genlhdr);
	op->allowed_len = genlmsg_len(info->genlhdr);
	op->timeout = lp_limit(attrs[LPATCH_A_OP_TIMEOUT], 0, LP_TIMEOUT_MAX);
	op->patch = lp_patch_by_hash(nla_data(attrs[LPATCH_A_OP_HASH]));
	if (!op->patch) {
		NL_SET_ERR_MSG_ATTR(info->extack, attrs[LPATCH_A_OP_HASH],
				    "no sealed patch has that hash, transfer it first");
		ret = -ENOENT;
		goto out;
	}
	start_time = attrs[LPATCH_A_OP_START_TIME];
	ret = lp_op_answer(op, info, start_time ? nla_get_u64(start_time) : 0, cmd);
	if (op->target)
		lp_target_close(op->target);
	lp_patch_put(op->patch);
out:
	lp_op_free(op);
	return ret;
}

int lpatch_nl_load_doit(struct sk_buff *skb, struct genl_info *info)
{
	return lp_op_doit(info, LP_LOAD, LPATCH_CMD_LOAD);
}

int lpatch_nl_apply_doit(struct sk_buff *skb, struct genl_info *info)
{
	return lp_op_doit(info, LP_APPLY, LPATCH_CMD_APPLY);
}

int lpatch_nl_restore_doit(struct sk_buff *skb, struct genl_info *info)
{
	return lp_op_doit(info, LP_RESTORE, LPATCH_CMD_RESTORE);
}

int lpatch_nl_unload_doit(struct sk_buff *skb, struct genl_info *info)
{
	return lp_op_doit(info, LP_UNLOAD, LPATCH_CMD_UNLOAD);
}

int lpatch_nl_status_get_start(struct netlink_callback *cb)
{
	if (lp_permitted(cb->skb))
		return 0;
	return lp_not_permitted(cb->extack);
}

/*
 * cb->args[0] and [1]: the ids of the target and the record that the last message ended with;
 * records may come and go between two messages.
 */
struct lp_dump {
	struct sk_buff *skb;
	struct netlink_callback *cb;
};

static int lp_dump_record(struct lp_target *target, struct lp_record *record, void *arg)
{
	struct lp_dump *dump = arg;
	void *head;

	long *last = dump->cb->args;

	if ((long)target->id < last[0] || ((long)target->id == last[0] && (long)record->id <= last[1]))
		return 0;
	head = genlmsg_put(dump->skb, NETLINK_CB(dump->cb->skb).portid, dump->cb->nlh->nlmsg_seq,
			   &lp_family, NLM_F_MULTI, LPATCH_CMD_STATUS_GET);
	if (!head)
		return -EMSGSIZE;
	if (lp_report_record(dump->skb, target, record)) {
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
	struct lp_dump dump = { .skb = skb, .cb = cb };

	if (!cb->args[0]) {
		lp_lineage_purge();
		/* Of a fork that is under way there is nothing to say yet. */
		if (lp_lineage_find() == -ENOMEM) {
			NL_SET_ERR_MSG(cb->extack,
				       "there is no memory for the records of processes that inherited a patch");
			return -ENOMEM;
		}
	}
	if (lp_records_each(lp_dump_record, &dump) == -EINTR)
		return -EINTR;
	return skb->len;
}

int lpatch_nl_gates_get_start(struct netlink_callback *cb)
{
	return lpatch_nl_status_get_start(cb);
}

/*
 * lp_gate_lock held: the thread cannot get past its gate, so it has not been reaped, and no leader of
 * its group is freed while interrupts are disabled.
 */
static int lp_dump_gate(struct lp_gate *gate, void *arg)
{
	struct pid_namespace *reader = task_active_pid_ns(current);
	struct lp_dump *dump = arg;
	char comm[TASK_COMM_LEN];
	void *head;

	head = genlmsg_put(dump->skb, NETLINK_CB(dump->cb->skb).portid, dump->cb->nlh->nlmsg_seq,
			   &lp_family, NLM_F_MULTI, LPATCH_CMD_GATES_GET);
	if (!head)
		return -EMSGSIZE;
	/* It may change meanwhile, but always ends with a NUL. */
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
	lp_gates_each(cb->args, lp_dump_gate, &dump);
	return skb->len;
}

int lpatch_nl_gates_drain_doit(struct sk_buff *skb, struct genl_info *info)
{
	void *head;

	skb = lp_reply_new(info, LPATCH_CMD_GATES_DRAIN, &head);
	if (!skb)
		return -ENOMEM;
	return lp_reply_send(skb, head, info,
			     nla_put_u32(skb, LPATCH_A_GATE_WOKEN, lp_gates_drain()));
}

static int lp_netlink_notify(struct notifier_block *nb, unsigned long event, void *data)
{
	const struct netlink_notify *notify = data;

	if (event == NETLINK_URELEASE && notify->protocol == NETLINK_GENERIC &&
	    net_eq(notify->net, &init_net))
		lp_patch_release_client(notify->portid);
	return NOTIFY_DONE;
}

static struct notifier_block lp_netlink_notifier = {
	.notifier_call = lp_netlink_notify,
};

static struct genl_family lp_family __ro_after_init = {
	.name = LPATCH_FAMILY_NAME,
	.version = LPATCH_FAMILY_VERSION,
	.module = THIS_MODULE,
	.netnsok = false,
	.parallel_ops = true,
	.pre_doit = lp_pre_doit,
	.ops = lpatch_nl_ops,
	.n_ops = LPATCH_NL_OPS_COUNT,
	.mcgrps = lpatch_nl_mcgrps,
	.n_mcgrps = LPATCH_NLGRP_COUNT,
};

int __init lp_netlink_init(void)
{
	int ret;

	ret = netlink_register_notifier(&lp_netlink_notifier);
	if (ret)
		return ret;
	ret = genl_register_family(&lp_family);
	if (ret)
		netlink_unregister_notifier(&lp_netlink_notifier);
	return ret;
}

void lp_netlink_exit(void)
{
	genl_unregister_family(&lp_family);
	netlink_unregister_notifier(&lp_netlink_notifier);
}
