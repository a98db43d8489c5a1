// SPDX-License-Identifier: GPL-2.0
/* The operations on a target. */

#include <linux/ktime.h>
#include <linux/mmap_lock.h>
#include <linux/slab.h>

#include "load.h"
#include "op.h"
#include "overwrite.h"
#include "patch.h"
#include "places.h"
#include "sign.h"
#include "target.h"
#include "verb.h"

/*
 * Keeps a copy of the record of a patch that was replaced, to report it when no lock is held any
 * more. Out of memory, the report is omitted.
 */
static void lp_op_keep(struct lp_op *op, const struct lp_record *record)
{
	struct lp_record *copy = kmemdup(record, sizeof(*record), GFP_KERNEL_ACCOUNT);

	if (!copy)
		return;
	lpatch_patch_get(copy->patch);
	op->outcome.replaced[op->outcome.nr_replaced++] = copy;
}

/*
 * Saves the timing and statistics of the operation in all records that it changed. lp_target.lock
 * held.
 */
static void lp_op_record(struct lp_op *op)
{
	struct lp_record *record;

	mutex_lock(&lpatch_targets_lock);
	list_for_each_entry(record, &op->target->records, node) {
		if (record->change != op->change)
			continue;
		record->times = op->outcome.times;
		record->threads = op->outcome.threads;
		record->attempts = op->outcome.attempts;
		record->max_stop = op->request->max_stop;
		record->active = record == op->record ? op->outcome.active : (struct lp_active){};
	}
	mutex_unlock(&lpatch_targets_lock);
	if (op->outcome.replaced)
		list_for_each_entry(record, &op->target->records, node)
			if (record->change == op->change && record != op->record)
				lp_op_keep(op, record);
}

static int lp_refuse_already(struct lp_op *op, const char *state)
{
	return lpatch_refuse(&op->outcome, LPATCH_REFUSAL_ALREADY, "patch %s is %s in %s[%u] already",
			     op->patch->name, state, op->target->comm, op->request->pid);
}

static int lp_refuse_absent(struct lp_op *op)
{
	return lpatch_refuse(&op->outcome, LPATCH_REFUSAL_NOT_LOADED, "patch %s is not in %s[%u]",
			     op->patch->name, op->target->comm, op->request->pid);
}

static int lp_do_load(struct lp_op *op)
{
	int ret;

	if (op->record && !op->record->incomplete)
		return lp_refuse_already(op, "loaded");
	ret = op->record ? lpatch_load_complete(op) : lpatch_load_map(op);
	if (!ret)
		lp_op_record(op);
	return ret;
}

/* Marks the other patches that are to be restored. Return: how many of them are applied. */
static u32 lp_op_replaces(const struct lp_op *op)
{
	struct lp_record *record;
	u32 nr = 0;

	if (!op->request->replaces)
		return 0;
	list_for_each_entry(record, &op->target->records, node) {
		if (lpatch_request_replaces(op->request, record->patch->hash))
			record->goes = op->change;
		nr += lpatch_places_replace(op, record);
	}
	return nr;
}

static int lp_do_apply(struct lp_op *op)
{
	bool dry_run = lp_request_is_dry_run(op->request);
	bool loaded = !op->record;
	u32 replaces = lp_op_replaces(op);
	int ret;

	if (op->record && op->record->state == LPATCH_STATE_APPLIED &&
	    !lpatch_live_drifted(op->record, &op->live) && !replaces)
		return lp_refuse_already(op, "applied");
	if (dry_run)
		return lpatch_overwrite(op);
	/* If this fails, the replaced patches are not reported. */
	if (replaces)
		op->outcome.replaced = kvcalloc(replaces, sizeof(*op->outcome.replaced), GFP_KERNEL_ACCOUNT);
	ret = loaded ? lpatch_load_map(op) : lpatch_load_complete(op);
	if (ret)
		return ret;
	ret = lpatch_overwrite(op);
	if (!ret)
		lp_op_record(op);
	else if (loaded)
		lpatch_load_unmap(op); /* no thread can be in it yet */
	return ret;
}

static int lp_do_restore(struct lp_op *op)
{
	int ret;

	if (!op->record)
		return lp_refuse_absent(op);
	if (op->record->state == LPATCH_STATE_RESTORED)
		return lp_refuse_already(op, "restored");
	if (op->record->state != LPATCH_STATE_APPLIED)
		return lpatch_refuse(&op->outcome, LPATCH_REFUSAL_NOT_APPLIED,
				     "patch %s is not applied in %s[%u]", op->patch->name,
				     op->target->comm, op->request->pid);
	ret = lpatch_overwrite(op);
	if (!ret)
		lp_op_record(op);
	return ret;
}

static int lp_do_unload(struct lp_op *op)
{
	int ret;

	if (!op->record)
		return lp_refuse_absent(op);
	if (op->record->state == LPATCH_STATE_APPLIED)
		return lpatch_refuse(&op->outcome, LPATCH_REFUSAL_STILL_APPLIED,
				     "patch %s is applied in %s[%u], restore it first",
				     op->patch->name, op->target->comm, op->request->pid);
	ret = lpatch_quiesce(op);
	return ret ?: lpatch_load_unmap(op);
}

/* If two clients sealed objects with the same hash, use the one that is in the target. */
static void lp_op_use_record(struct lp_op *op)
{
	op->record = lpatch_record_find(op->target, op->patch);
	if (op->record) {
		lpatch_patch_get(op->record->patch);
		lpatch_patch_put(op->patch);
		op->patch = op->record->patch;
		op->base = op->record->base;
	}
}

static int lp_look_once(struct lp_op *op)
{
	int ret = lpatch_op_lock_memory(op, &op->outcome);

	if (ret)
		return ret;
	ret = lpatch_live_look(op->target, op->record, &op->live);
	mmap_read_unlock(op->target->mm);
	return ret;
}

/*
 * Checks before an apply or a load whether a patch in the target has drifted. Waits at least
 * LP_LOOK_TRIES times, even if the operation has a short timeout. Return: 0 or a refusal.
 */
static int lp_op_look(struct lp_op *op)
{
	u64 until = ktime_get_ns() + op->request->timeout;
	unsigned int tries = LP_LOOK_TRIES;
	const struct lp_site *site;
	int ret;

	while ((ret = lp_look_once(op)) == -EAGAIN) {
		if (lpatch_op_pause(op, LP_LOOK_PAUSE))
			return lpatch_refuse_canceled(&op->outcome);
		if (tries)
			tries--;
		else if (ktime_get_ns() > until)
			break;
	}
	if (ret != -EAGAIN)
		return ret;
	site = op->live.missing;
	strscpy(op->outcome.function, site->symbol, sizeof(op->outcome.function));
	return lpatch_refuse(&op->outcome, LPATCH_REFUSAL_SITE_UNREADABLE,
			     "the page of %s did not come into the memory of %s[%u] in time",
			     site->symbol, op->target->comm, op->request->pid);
}

static int lp_op_dispatch(struct lp_op *op)
{
	enum lp_verb verb = op->request->verb;
	const char *objection;
	int ret;

	lp_op_use_record(op);
	ret = op->record && (verb == LP_APPLY || verb == LP_LOAD) ? lp_op_look(op) : 0;
	if (ret)
		return ret;
	/* A patch in the target can be restored and unloaded in any case. */
	objection = verb == LP_LOAD || verb == LP_APPLY ? lpatch_sign_objection(op->patch) : NULL;
	if (objection)
		return lpatch_refuse(&op->outcome, LPATCH_REFUSAL_UNSIGNED, "patch %s %s",
				     op->patch->name, objection);
	switch (verb) {
	case LP_LOAD:
		return lp_do_load(op);
	case LP_APPLY:
		return lp_do_apply(op);
	case LP_RESTORE:
		return lp_do_restore(op);
	case LP_RECOUNT:
		return op->record ? lpatch_recount(op) : lp_refuse_absent(op);
	default:
		return lp_do_unload(op);
	}
}

/*
 * Sets the state of the patch in the outcome. A dry run predicts the threads that would be in old
 * code.
 */
static void lp_op_conclude(struct lp_op *op)
{
	if (!op->record)
		return;
	op->outcome.state = op->record->state;
	if (!lp_request_is_dry_run(op->request) || op->outcome.refusal != LPATCH_REFUSAL_NONE)
		op->outcome.active = op->record->active;
}

/**
 * lpatch_op_do() - perform an operation
 * @op: gets the outcome
 *
 * Context: lp_target.lock held, in a kthread that uses the target's mm or in a thread of the
 * target.
 */
void lpatch_op_do(struct lp_op *op)
{
	lp_op_dispatch(op);
	lp_op_conclude(op);
}
