// SPDX-License-Identifier: GPL-2.0
/*
 * The generic netlink family: parses requests, performs them and replies.
 * Documentation/netlink/lpatch.yaml is the specification. A malformed request fails with an errno
 * and an extack message. A refusal that depends on the target is a successful reply with a report:
 * an extack message is a literal on 6.1 and limited to 80 bytes later, while a report has a
 * sentence with names and numbers, which the group "events" gets, too.
 *
 * Requests of several clients run in parallel; shared state has its own locks.
 */

#include <linux/capability.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/module.h>
#include <linux/netlink.h>
#include <net/genetlink.h>

#include "audit.h"
#include "boot.h"
#include "compat.h"
#include "event.h"
#include "gate.h"
#include "keys.h"
#include "netlink.h"
#include "nl_gen.h"
#include "op.h"
#include "patch.h"
#include "report.h"
#include "require.h"
#include "run.h"
#include "sign.h"
#include "target.h"

/* The longest stop that a client may allow. */
#define LP_MAX_STOP_MAX (10ULL * NSEC_PER_SEC)

/* The longest timeout that a client may set. */
#define LP_TIMEOUT_MAX (3600ULL * NSEC_PER_SEC)

bool lpatch_permitted(struct sk_buff *skb)
{
	return netlink_capable(skb, CAP_SYS_ADMIN) && netlink_capable(skb, CAP_SYS_PTRACE);
}

int lpatch_not_permitted(struct netlink_ext_ack *extack)
{
	NL_SET_ERR_MSG(extack,
		       "lpatch needs CAP_SYS_ADMIN and CAP_SYS_PTRACE in the initial user namespace");
	return -EPERM;
}

/*
 * Set once the family is registered for good: until then a failing init may still free the module.
 */
static bool lp_serving;

static int lp_pre_doit(const struct lp_genl_doit_ops *ops, struct sk_buff *skb,
		       struct genl_info *info)
{
	if (!READ_ONCE(lp_serving))
		return -EAGAIN;
	if (lpatch_permitted(skb))
		return 0;
	return lpatch_not_permitted(info->extack);
}

static struct sk_buff *lp_reply_new(struct genl_info *info, u8 cmd, void **head)
{
	struct sk_buff *skb = genlmsg_new(NLMSG_GOODSIZE, GFP_KERNEL);

	if (!skb)
		return NULL;
	*head = genlmsg_put_reply(skb, info, &lpatch_family, 0, cmd);
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
		      nla_put_string(skb, LPATCH_A_INFO_TASK_WORK, lpatch_task_work_source) ?:
		      nla_put_u32(skb, LPATCH_A_INFO_PATCHES, lpatch_patch_count())		?:
		      nla_put_u32(skb, LPATCH_A_INFO_TARGETS, lpatch_target_count())	?:
		      nla_put_u32(skb, LPATCH_A_INFO_GATES, lpatch_gates_queued())		?:
		      nla_put_u32(skb, LPATCH_A_INFO_KEYRING, lpatch_keys_serial())	?:
		      (lpatch_sign_required() ? nla_put_flag(skb, LPATCH_A_INFO_SIGNATURE_REQUIRED) : 0);
	return lp_reply_send(skb, head, info, ret);
}

static int lp_new_patch(struct genl_info *info, u32 *id)
{
	struct nlattr **attrs = info->attrs;
	struct nlattr *pin = attrs[LPATCH_A_PATCH_PIN];
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
	patch = lpatch_patch_new(info->snd_portid, nla_data(attrs[LPATCH_A_PATCH_NAME]),
				 nla_data(attrs[LPATCH_A_PATCH_HASH]), file,
				 pin ? nla_get_u64(pin) : 0, id);
	if (patch == ERR_PTR(-ETXTBSY))
		NL_SET_ERR_MSG_ATTR(info->extack, attrs[LPATCH_A_PATCH_FD],
				    "the patch file is open for writing");
	return PTR_ERR_OR_ZERO(patch);
}

/* Gives the client a hold on a patch, new or known, and adds the attributes of the reply. */
static int lp_put_patch_new(struct sk_buff *skb, struct genl_info *info)
{
	struct lp_patch *patch;
	u32 id = 0;
	int ret;

	patch = lpatch_patch_hold(info->snd_portid, nla_data(info->attrs[LPATCH_A_PATCH_HASH]));
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

/* Return: the patch in transfer that a request names, referenced, or an ERR_PTR. */
static struct lp_patch *lp_patch_of(struct genl_info *info)
{
	struct nlattr *id = info->attrs[LPATCH_A_PATCH_ID];
	struct lp_patch *patch = id ? lpatch_patch_by_id(info->snd_portid, nla_get_u32(id)) : NULL;

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
	ret = lpatch_patch_add(patch, genlmsg_data(info->genlhdr), genlmsg_len(info->genlhdr),
			       info->extack);
	lpatch_patch_put(patch);
	return ret;
}

int lpatch_nl_patch_seal_doit(struct sk_buff *skb, struct genl_info *info)
{
	struct lp_patch *patch = lp_patch_of(info);
	int ret;

	if (IS_ERR(patch))
		return PTR_ERR(patch);
	ret = lpatch_patch_seal(patch, info->extack);
	lpatch_patch_put(patch);
	return ret;
}

static u64 lp_limit(const struct nlattr *attr, u64 absent, u64 max)
{
	return attr ? min(nla_get_u64(attr), max) : absent;
}

static void lp_refuse_target(struct lp_outcome *out, u32 refusal, u32 pid)
{
	switch (refusal) {
	case LPATCH_REFUSAL_TARGET_KERNEL:
		lpatch_refuse(out, refusal, "process %u is a kernel thread and has no memory to patch",
			      pid);
		break;
	case LPATCH_REFUSAL_TARGET_CHANGED:
		lpatch_refuse(out, refusal, "pid %u belongs to another process by now", pid);
		break;
	case LPATCH_REFUSAL_NO_MEMORY:
		lpatch_refuse(out, refusal, "there is no memory for the record of process %u", pid);
		break;
	default:
		lpatch_refuse(out, refusal, "there is no process %u", pid);
	}
}

/*
 * Performs an operation. Return: 0 if there is an outcome, or a negative errno with nothing done.
 */
static int lp_op_on(struct lp_op *op)
{
	struct lp_target *target;
	u32 refusal;

	refusal = lpatch_target_open(op->request->pid, op->request->start_time, &target);
	if (refusal) {
		lp_refuse_target(&op->outcome, refusal, op->request->pid);
		return 0;
	}
	op->target = target;
	return lpatch_op_run(op);
}

/* Allocates the reply first: an operation that succeeded must not be reported as an error. */
static int lp_op_answer(struct lp_op *op, struct genl_info *info, u8 cmd)
{
	struct sk_buff *skb;
	void *head;
	int ret;

	skb = lp_reply_new(info, cmd, &head);
	if (!skb)
		return -ENOMEM;
	ret = lp_op_on(op);
	if (!ret) {
		lpatch_event(op);
		ret = lpatch_report_op(skb, op, LP_CLIENT);
	}
	return lp_reply_send(skb, head, info, ret);
}

static struct lp_request lp_request_of(const struct genl_info *info, enum lp_verb verb)
{
	struct nlattr **attrs = info->attrs;
	u32 flags = attrs[LPATCH_A_OP_FLAGS] ? nla_get_u32(attrs[LPATCH_A_OP_FLAGS]) : 0;
	struct nlattr *start_time = attrs[LPATCH_A_OP_START_TIME];

	return (struct lp_request){
		.verb = verb,
		.flags = flags,
		.replaces = (flags & LPATCH_OP_FLAGS_REPLACE) || attrs[LPATCH_A_OP_REPLACE],
		.pid = nla_get_u32(attrs[LPATCH_A_OP_PID]),
		.start_time = start_time ? nla_get_u64(start_time) : 0,
		.max_stop = lp_limit(attrs[LPATCH_A_OP_MAX_STOP], LPATCH_MAX_STOP_DEFAULT,
				     LP_MAX_STOP_MAX),
		.timeout = lp_limit(attrs[LPATCH_A_OP_TIMEOUT], 0, LP_TIMEOUT_MAX),
		.attrs = genlmsg_data(info->genlhdr),
		.attrs_len = genlmsg_len(info->genlhdr),
	};
}

static int lp_op_with(const struct lp_request *request, struct lp_patch *patch,
		      struct genl_info *info, u8 cmd)
{
	struct lp_op *op = lpatch_op_alloc(request, patch);
	int ret;

	if (!op)
		return -ENOMEM;
	ret = lp_op_answer(op, info, cmd);
	if (op->target)
		lpatch_target_close(op->target);
	lpatch_op_free(op);
	return ret;
}

static int lp_op_doit(struct genl_info *info, enum lp_verb verb, u8 cmd)
{
	struct nlattr **attrs = info->attrs;
	struct lp_request request;
	struct lp_patch *patch;
	int ret;

	if (GENL_REQ_ATTR_CHECK(info, LPATCH_A_OP_HASH) ||
	    GENL_REQ_ATTR_CHECK(info, LPATCH_A_OP_PID)) {
		NL_SET_ERR_MSG(info->extack, "an operation needs the hash of a patch and a pid");
		return -EINVAL;
	}
	request = lp_request_of(info, verb);
	if (verb != LP_APPLY && (request.flags || request.replaces)) {
		NL_SET_ERR_MSG_ATTR(info->extack, attrs[LPATCH_A_OP_FLAGS] ?: attrs[LPATCH_A_OP_REPLACE],
				    "only an apply can be a dry run, or replace other patches");
		return -EINVAL;
	}
	patch = lpatch_patch_by_hash(nla_data(attrs[LPATCH_A_OP_HASH]));
	if (!patch) {
		NL_SET_ERR_MSG_ATTR(info->extack, attrs[LPATCH_A_OP_HASH],
				    "no sealed patch has that hash, transfer it first");
		return -ENOENT;
	}
	ret = lp_op_with(&request, patch, info, cmd);
	lpatch_patch_put(patch);
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

int lpatch_nl_gates_drain_doit(struct sk_buff *skb, struct genl_info *info)
{
	void *head;

	skb = lp_reply_new(info, LPATCH_CMD_GATES_DRAIN, &head);
	if (!skb)
		return -ENOMEM;
	lpatch_audit_setting("drain", NULL, 0);
	return lp_reply_send(skb, head, info,
			     nla_put_u32(skb, LPATCH_A_GATE_WOKEN, lpatch_gates_drain()));
}

int lpatch_nl_recount_doit(struct sk_buff *skb, struct genl_info *info)
{
	return lp_op_doit(info, LP_RECOUNT, LPATCH_CMD_RECOUNT);
}

int lpatch_nl_boot_add_doit(struct sk_buff *skb, struct genl_info *info)
{
	struct nlattr **attrs = info->attrs;
	struct lp_patch *patch;
	u32 flags;
	int ret;

	if (GENL_REQ_ATTR_CHECK(info, LPATCH_A_BOOT_HASH)) {
		NL_SET_ERR_MSG(info->extack, "a boot entry needs the hash of a patch");
		return -EINVAL;
	}
	patch = lpatch_patch_by_hash(nla_data(attrs[LPATCH_A_BOOT_HASH]));
	if (!patch) {
		NL_SET_ERR_MSG_ATTR(info->extack, attrs[LPATCH_A_BOOT_HASH],
				    "no sealed patch has that hash, transfer it first");
		return -ENOENT;
	}
	flags = attrs[LPATCH_A_BOOT_FLAGS] ? nla_get_u32(attrs[LPATCH_A_BOOT_FLAGS]) : 0;
	if (!lpatch_sign_objection(patch)) {
		ret = lpatch_boot_add(patch, flags, info->extack);
	} else {
		ret = -EKEYREJECTED;
		if (patch->signature)
			NL_SET_ERR_MSG_ATTR(info->extack, attrs[LPATCH_A_BOOT_HASH],
					    "the patch is signed with a key that does not count any more");
		else
			NL_SET_ERR_MSG_ATTR(info->extack, attrs[LPATCH_A_BOOT_HASH],
					    "the patch has no valid signature, which this kernel requires by now (lpatch.require_signature or lockdown)");
	}
	lpatch_audit_patch("boot-add", patch, ret);
	lpatch_patch_put(patch);
	return ret;
}

int lpatch_nl_boot_remove_doit(struct sk_buff *skb, struct genl_info *info)
{
	int ret;

	if (GENL_REQ_ATTR_CHECK(info, LPATCH_A_BOOT_HASH)) {
		NL_SET_ERR_MSG(info->extack, "a boot entry is named by the hash of its patch");
		return -EINVAL;
	}
	ret = lpatch_boot_remove(nla_data(info->attrs[LPATCH_A_BOOT_HASH]));
	if (ret)
		NL_SET_ERR_MSG_ATTR(info->extack, info->attrs[LPATCH_A_BOOT_HASH],
				    "there is no boot entry of that hash");
	return ret;
}

static int lp_netlink_notify(struct notifier_block *nb, unsigned long event, void *data)
{
	const struct netlink_notify *notify = data;

	if (event == NETLINK_URELEASE && notify->protocol == NETLINK_GENERIC &&
	    net_eq(notify->net, &init_net))
		lpatch_patch_release_client(notify->portid);
	return NOTIFY_DONE;
}

static struct notifier_block lp_netlink_notifier = {
	.notifier_call = lp_netlink_notify,
};

struct genl_family lpatch_family __ro_after_init = {
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

/* How often to evict sockets that are in the group already. */
#define LP_EVICT_TRIES 16

/*
 * Until the group is registered, every process may join its number, and is a member once it is
 * registered: the kernel checks capabilities only when a socket joins an existing group.
 * Unregistering the family evicts all members. A socket that joins before the next attempt is
 * evicted by the attempt after that. A process that keeps joining prevents events, but not the
 * loading of the module.
 */
static int __init lp_register(void)
{
	int ret, tries;

	for (tries = 0; tries < LP_EVICT_TRIES; tries++) {
		ret = genl_register_family(&lpatch_family);
		if (ret || !genl_has_listeners(&lpatch_family, &init_net, LPATCH_NLGRP_EVENTS))
			return ret;
		genl_unregister_family(&lpatch_family);
	}
	pr_warn("lpatch: a process keeps joining multicast groups of generic netlink before they exist; there are no events until it is ended and lpatch is loaded again\n");
	lpatch_family.n_mcgrps = 0;
	return genl_register_family(&lpatch_family);
}

int __init lpatch_netlink_init(void)
{
	int ret;

	ret = netlink_register_notifier(&lp_netlink_notifier);
	if (ret)
		return ret;
	ret = lp_register();
	WRITE_ONCE(lp_serving, !ret);
	if (ret)
		netlink_unregister_notifier(&lp_netlink_notifier);
	return ret;
}

void lpatch_netlink_exit(void)
{
	genl_unregister_family(&lpatch_family);
	netlink_unregister_notifier(&lp_netlink_notifier);
}
