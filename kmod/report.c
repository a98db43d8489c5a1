// SPDX-License-Identifier: GPL-2.0
/* The report nest of a message: the result of an operation, or the state of a target. */

#include <linux/mm.h>
#include <linux/mmap_lock.h>
#include <linux/pid.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <net/netlink.h>

#include "layer.h"
#include "live.h"
#include "op.h"
#include "patch.h"
#include "report.h"
#include "target.h"

static int lp_put_u64(struct sk_buff *skb, int type, u64 value)
{
	return nla_put_u64_64bit(skb, type, value, LPATCH_A_REPORT_PAD);
}

static int lp_put_times(struct sk_buff *skb, const struct lp_times *times)
{
	return lp_put_u64(skb, LPATCH_A_REPORT_STOP_NS, times->stop) ?:
	       lp_put_u64(skb, LPATCH_A_REPORT_LONGEST_THREAD_NS, times->longest_thread) ?:
	       lp_put_u64(skb, LPATCH_A_REPORT_GATE_NS, times->gate) ?:
	       lp_put_u64(skb, LPATCH_A_REPORT_BARRIER_NS, times->barrier) ?:
	       lp_put_u64(skb, LPATCH_A_REPORT_CHECK_NS, times->check) ?:
	       lp_put_u64(skb, LPATCH_A_REPORT_WRITE_NS, times->write) ?:
	       lp_put_u64(skb, LPATCH_A_REPORT_RELEASE_NS, times->release);
}

static int lp_put_patch(struct sk_buff *skb, const struct lp_patch *patch)
{
	u32 i, functions = 0;

	for (i = 0; i < patch->nr_sites; i++)
		functions += patch->sites[i].kind == LPATCH_SITE_KIND_JUMP;
	return nla_put_string(skb, LPATCH_A_REPORT_PATCH, patch->name) ?:
	       nla_put(skb, LPATCH_A_REPORT_HASH, LPATCH_HASH_LEN, patch->hash) ?:
	       nla_put_u32(skb, LPATCH_A_REPORT_FUNCTIONS, functions) ?:
	       nla_put_u32(skb, LPATCH_A_REPORT_VALUES, patch->nr_values);
}

static int lp_put_refusal(struct sk_buff *skb, const struct lp_outcome *out)
{
	if (out->refusal == LPATCH_REFUSAL_NONE)
		return nla_put_u32(skb, LPATCH_A_REPORT_REFUSAL, out->refusal);
	return nla_put_u32(skb, LPATCH_A_REPORT_REFUSAL, out->refusal) ?:
	       nla_put_u32(skb, LPATCH_A_REPORT_ERRNO, lpatch_refusal_errno(out->refusal)) ?:
	       nla_put_string(skb, LPATCH_A_REPORT_MESSAGE, out->message) ?:
	       (out->tid ? nla_put_u32(skb, LPATCH_A_REPORT_TID, out->tid) : 0) ?:
	       (out->function[0] ? nla_put_string(skb, LPATCH_A_REPORT_FUNCTION, out->function) : 0);
}

/* The threads that are still in code that went out of use. */
static int lp_put_active(struct sk_buff *skb, const struct lp_active *active)
{
	int ret = nla_put_u32(skb, LPATCH_A_REPORT_ACTIVE_THREADS, active->threads);

	if (ret || !active->threads || !active->tid)
		return ret;
	return nla_put_u32(skb, LPATCH_A_REPORT_ACTIVE_TID, active->tid) ?:
	       nla_put_string(skb, active->is_patch ? LPATCH_A_REPORT_ACTIVE_PATCH :
						      LPATCH_A_REPORT_ACTIVE_FUNCTION,
			      active->name);
}

/*
 * The address of a patch is only for the client, which may read the memory of any process. Events
 * end up in logs that other users may read.
 */
static int lp_put_mapping(struct sk_buff *skb, unsigned long base, const struct lp_patch *patch,
			  enum lp_reader reader)
{
	return (reader == LP_CLIENT ? lp_put_u64(skb, LPATCH_A_REPORT_MAPPED_AT, base) : 0) ?:
	       lp_put_u64(skb, LPATCH_A_REPORT_MAPPED_BYTES, patch->size);
}

static int lp_put_op(struct sk_buff *skb, const struct lp_op *op, enum lp_reader reader)
{
	const struct lp_request *req = op->request;
	const struct lp_outcome *out = &op->outcome;

	return lp_put_patch(skb, op->patch) ?:
	       nla_put_string(skb, LPATCH_A_REPORT_VERB, lpatch_request_verb(req)) ?:
	       nla_put_u32(skb, LPATCH_A_REPORT_PID, req->pid) ?:
	       (op->target ? nla_put_string(skb, LPATCH_A_REPORT_COMM, op->target->comm) : 0) ?:
	       nla_put_u32(skb, LPATCH_A_REPORT_STATE, out->state) ?:
	       nla_put_u32(skb, LPATCH_A_REPORT_THREADS, out->threads) ?:
	       nla_put_u32(skb, LPATCH_A_REPORT_ATTEMPTS, out->attempts) ?:
	       lp_put_u64(skb, LPATCH_A_REPORT_STOP_LIMIT_NS, req->max_stop) ?:
	       lp_put_times(skb, &out->times) ?:
	       lp_put_u64(skb, LPATCH_A_REPORT_LOCK_NS, out->lock_ns) ?:
	       lp_put_active(skb, &out->active) ?:
	       (out->state ? lp_put_mapping(skb, op->base, op->patch, reader) : 0) ?:
	       lp_put_refusal(skb, out);
}

/* Return: 0, or -EMSGSIZE with nothing added. */
int lpatch_report_op(struct sk_buff *skb, const struct lp_op *op, enum lp_reader reader)
{
	struct nlattr *nest = nla_nest_start(skb, LPATCH_A_OP_REPORT);

	if (!nest)
		return -EMSGSIZE;
	if (lp_put_op(skb, op, reader)) {
		nla_nest_cancel(skb, nest);
		return -EMSGSIZE;
	}
	nla_nest_end(skb, nest);
	return 0;
}

/*
 * Checks the target's memory. @tries: how often to wait for a page or for mmap_lock, decremented
 * for each wait; NULL to skip the check. Return: whether the memory was checked.
 */
static bool lp_look(const struct lp_target *target, const struct lp_record *record,
		    struct lp_live *live, unsigned int *tries)
{
	bool looked = false;

	if (!tries || !mmget_not_zero(target->mm))
		return false;
	for (;;) {
		if (mmap_read_trylock(target->mm)) {
			looked = !lpatch_live_look(target, record, live);
			mmap_read_unlock(target->mm);
		}
		if (looked || !*tries || fatal_signal_pending(current))
			break;
		--*tries;
		schedule_timeout_killable(LP_LOOK_PAUSE);
	}
	/*
	 * If this drops the last user, tearing down the mm waits for the target's lock, among other
	 * things.
	 */
	mmput_async(target->mm);
	return looked;
}

static int lp_put_drift(struct sk_buff *skb, struct lp_target *target, struct lp_record *record,
			const struct lp_live *live)
{
	char message[LPATCH_MESSAGE_MAX + 1];
	const char *function;
	u32 refusal = lpatch_live_say(target, record, live, message, sizeof(message), &function);

	return nla_put_u32(skb, LPATCH_A_REPORT_STATE, LPATCH_STATE_DRIFTED) ?:
	       nla_put_u32(skb, LPATCH_A_REPORT_REFUSAL, refusal) ?:
	       nla_put_u32(skb, LPATCH_A_REPORT_ERRNO, lpatch_refusal_errno(refusal)) ?:
	       nla_put_string(skb, LPATCH_A_REPORT_MESSAGE, message) ?:
	       (function ? nla_put_string(skb, LPATCH_A_REPORT_FUNCTION, function) : 0);
}

static const char lp_unlooked[] =
	"its memory could not be looked at: it ends or is operated on, its mappings are locked, or a page does not come";

/* The position of the patch in the stack of patches that are applied to the target. */
static int lp_put_layer(struct sk_buff *skb, const struct lp_target *target,
			const struct lp_record *record)
{
	if (record->state != LPATCH_STATE_APPLIED)
		return 0;
	return nla_put_u32(skb, LPATCH_A_REPORT_LAYER, lpatch_layer_nr(target, record));
}

/* The state, and how the memory differs from the record. */
static int lp_put_state(struct sk_buff *skb, struct lp_target *target, struct lp_record *record,
			enum lp_reader reader, unsigned int *tries)
{
	struct lp_live live;
	bool looked = lp_look(target, record, &live, tries);

	if (looked && lpatch_live_drifted(record, &live))
		return lp_put_drift(skb, target, record, &live);
	return nla_put_u32(skb, LPATCH_A_REPORT_STATE, record->state) ?:
	       nla_put_u32(skb, LPATCH_A_REPORT_REFUSAL, LPATCH_REFUSAL_NONE) ?:
	       (looked || reader != LP_CLIENT ? 0 : nla_put_string(skb, LPATCH_A_REPORT_MESSAGE, lp_unlooked));
}

static int lp_put_record(struct sk_buff *skb, struct lp_target *target, struct lp_record *record,
			 enum lp_reader reader, unsigned int *tries)
{
	return lp_put_patch(skb, record->patch) ?:
	       nla_put_u32(skb, LPATCH_A_REPORT_PID, pid_vnr(target->tgid)) ?:
	       nla_put_string(skb, LPATCH_A_REPORT_COMM, target->comm) ?:
	       lp_put_state(skb, target, record, reader, tries) ?:
	       lp_put_layer(skb, target, record) ?:
	       lp_put_u64(skb, LPATCH_A_REPORT_SINCE, record->since) ?:
	       nla_put_u32(skb, LPATCH_A_REPORT_THREADS, record->threads) ?:
	       nla_put_u32(skb, LPATCH_A_REPORT_ATTEMPTS, record->attempts) ?:
	       lp_put_u64(skb, LPATCH_A_REPORT_STOP_LIMIT_NS, record->max_stop) ?:
	       lp_put_times(skb, &record->times) ?:
	       lp_put_active(skb, &record->active) ?:
	       lp_put_mapping(skb, record->base, record->patch, reader);
}

/**
 * lpatch_report_record() - report a patch in a target, in the caller's pid namespace
 * @skb: gets the nest
 * @target: the target
 * @record: of the patch
 * @reader: the reader of the report
 * @tries: how often to wait for the target's memory, with its lock held; NULL to not check it
 *
 * Return: 0, or -EMSGSIZE with nothing added.
 */
int lpatch_report_record(struct sk_buff *skb, struct lp_target *target, struct lp_record *record,
			 enum lp_reader reader, unsigned int *tries)
{
	struct nlattr *nest = nla_nest_start(skb, LPATCH_A_OP_REPORT);

	if (!nest)
		return -EMSGSIZE;
	if (lp_put_record(skb, target, record, reader, tries)) {
		nla_nest_cancel(skb, nest);
		return -EMSGSIZE;
	}
	nla_nest_end(skb, nest);
	return 0;
}
