// SPDX-License-Identifier: GPL-2.0
/* Operations on one target: the verbs. */

#include <linux/kthread.h>
#include <linux/mmap_lock.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/timekeeping.h>

#include "load.h"
#include "op.h"
#include "overwrite.h"
#include "patch.h"
#include "places.h"
#include "sign.h"
#include "target.h"

static const int lp_errnos[] = {
	[LPATCH_REFUSAL_NONE] = 0,
	[LPATCH_REFUSAL_TARGET_GONE] = ESRCH,
	[LPATCH_REFUSAL_TARGET_KERNEL] = EINVAL,
	[LPATCH_REFUSAL_TARGET_CHANGED] = ESRCH,
	[LPATCH_REFUSAL_IMAGE_MISSING] = ENOEXEC,
	[LPATCH_REFUSAL_IMAGE_TWICE] = ENOTUNIQ,
	[LPATCH_REFUSAL_NO_GAP] = ENOSPC,
	[LPATCH_REFUSAL_MAP_FAILED] = EIO,
	[LPATCH_REFUSAL_FIXUP_RANGE] = ERANGE,
	[LPATCH_REFUSAL_SITE_UNREADABLE] = EFAULT,
	[LPATCH_REFUSAL_BYTES_DIFFER] = EILSEQ,
	[LPATCH_REFUSAL_SITE_TAKEN] = EADDRINUSE,
	[LPATCH_REFUSAL_THREAD_ACTIVE] = EBUSY,
	[LPATCH_REFUSAL_THREAD_RUNNING] = EBUSY,
	[LPATCH_REFUSAL_THREAD_SIGNAL_STACK] = EBUSY,
	[LPATCH_REFUSAL_STACK_UNREADABLE] = EBUSY,
	[LPATCH_REFUSAL_DEADLINE] = ETIME,
	[LPATCH_REFUSAL_NO_MEMORY] = ENOMEM,
	[LPATCH_REFUSAL_CANCELED] = ECANCELED,
	[LPATCH_REFUSAL_NOT_LOADED] = ENOENT,
	[LPATCH_REFUSAL_NOT_APPLIED] = EALREADY,
	[LPATCH_REFUSAL_ALREADY] = EALREADY,
	[LPATCH_REFUSAL_STILL_APPLIED] = EBUSY,
	[LPATCH_REFUSAL_IMAGE_MOVED] = ESTALE,
	[LPATCH_REFUSAL_PATCH_MISSING] = ESTALE,
	[LPATCH_REFUSAL_COVERED] = EBUSY,
	[LPATCH_REFUSAL_PINNED] = EBUSY,
	[LPATCH_REFUSAL_UNSIGNED] = EKEYREJECTED,
};

/* The positive errno of a refusal. */
int lp_refusal_errno(u32 refusal)
{
	return lp_errnos[refusal];
}

/* Notes why the operation is refused, in a sentence. Returns the negative errno. */
int lp_op_refuse(struct lp_op *op, u32 refusal, const char *fmt, ...)
{
	va_list args;

	op->refusal = refusal;
	va_start(args, fmt);
	vscnprintf(op->message, sizeof(op->message), fmt, args);
	va_end(args);
	return -lp_errnos[refusal];
}

int lp_refuse_canceled(struct lp_op *op)
{
	return lp_op_refuse(op, LPATCH_REFUSAL_CANCELED, "the client went away");
}

static const char * const lp_verbs[] = {
	[LP_LOAD] = "load",
	[LP_APPLY] = "apply",
	[LP_RESTORE] = "restore",
	[LP_UNLOAD] = "unload",
	[LP_RECOUNT] = "recount",
};

const char *lp_op_verb(const struct lp_op *op)
{
	if (op->boot)
		return "boot";
	return op->flags & LPATCH_OP_FLAGS_DRY_RUN ? "check" : lp_verbs[op->verb];
}

unsigned long lp_op_site_addr(const struct lp_op *op, const struct lp_site *site)
{
	return op->bases[site->image] + site->vaddr;
}

bool lp_op_allows(const struct lp_op *op, const char *symbol)
{
	const struct nlattr *attr;
	int rem;

	nla_for_each_attr(attr, op->allowed, op->allowed_len, rem)
		if (nla_type(attr) == LPATCH_A_OP_ALLOW_ACTIVE && !nla_strcmp(attr, symbol))
			return true;
	return false;
}

struct lp_op *lp_op_alloc(enum lp_verb verb)
{
	struct lp_op *op = kzalloc(sizeof(*op), GFP_KERNEL_ACCOUNT);

	if (!op)
		return NULL;
	op->verb = verb;
	op->change = lp_next_id();
	op->scan.buf = kmalloc(LP_SCAN_BUF, GFP_KERNEL_ACCOUNT);
	if (op->scan.buf)
		return op;
	kfree(op);
	return NULL;
}

void lp_op_free(struct lp_op *op)
{
	while (op->nr_replaced--) {
		lp_patch_put(op->replaced[op->nr_replaced]->patch);
		kfree(op->replaced[op->nr_replaced]);
	}
	kvfree(op->replaced);
	kfree(op->scan.buf);
	kvfree(op->places);
	kvfree(op->spans);
	kfree(op);
}

/**
 * lp_op_note() - note in the records what was just written
 * @op: an apply or a restore
 *
 * With the memory, and before it can be copied: a fork waits for the mmap_lock.
 *
 * Context: in the window.
 */
void lp_op_note(struct lp_op *op)
{
	struct lp_record *record;

	op->since = ktime_get_real_ns();
	if (op->flags & LPATCH_OP_FLAGS_REPLACE)
		list_for_each_entry(record, &op->target->records, node)
			if (lp_places_involve(op, record)) {
				record->state = LPATCH_STATE_RESTORED;
				record->since = op->since;
				record->change = op->change;
			}
	if (op->verb == LP_APPLY) {
		lp_places_note(op);
		op->record->order = lp_next_id();
	}
	op->record->state = op->verb == LP_APPLY ? LPATCH_STATE_APPLIED : LPATCH_STATE_RESTORED;
	op->record->since = op->since;
	op->record->change = op->change;
}

/*
 * Keeps a copy of the record of a patch that was replaced, to tell of it when no lock is held any more.
 * Where there is no memory for it nothing is told.
 */
static void lp_op_keep(struct lp_op *op, const struct lp_record *record)
{
	struct lp_record *copy = kmemdup(record, sizeof(*record), GFP_KERNEL_ACCOUNT);

	if (!copy)
		return;
	lp_patch_get(copy->patch);
	op->replaced[op->nr_replaced++] = copy;
}

/* Writes down how it was done, for all records that it changed. lp_target.lock held. */
static void lp_op_record(struct lp_op *op)
{
	struct lp_record *record;

	mutex_lock(&lp_targets_lock);
	list_for_each_entry(record, &op->target->records, node) {
		if (record->change != op->change)
			continue;
		record->times = op->freeze.times;
		record->threads = op->threads;
		record->attempts = op->attempts;
		record->max_stop = op->max_stop;
		record->active = record == op->record ? op->active : (struct lp_active){};
	}
	mutex_unlock(&lp_targets_lock);
	if (op->replaced)
		list_for_each_entry(record, &op->target->records, node)
			if (record->change == op->change && record != op->record)
				lp_op_keep(op, record);
}

static int lp_refuse_already(struct lp_op *op, const char *state)
{
	return lp_op_refuse(op, LPATCH_REFUSAL_ALREADY, "patch %s is %s in %s[%u] already",
			    op->patch->name, state, op->target->comm, op->pid);
}

static int lp_refuse_absent(struct lp_op *op)
{
	return lp_op_refuse(op, LPATCH_REFUSAL_NOT_LOADED, "patch %s is not in %s[%u]",
			    op->patch->name, op->target->comm, op->pid);
}

static int lp_do_load(struct lp_op *op)
{
	int ret;

	if (op->record && !op->record->incomplete)
		return lp_refuse_already(op, "loaded");
	ret = op->record ? lp_load_complete(op) : lp_load_map(op);
	if (!ret)
		lp_op_record(op);
	return ret;
}

/* How many other patches are applied and to be restored? */
static u32 lp_op_replaces(const struct lp_op *op)
{
	const struct lp_record *record;
	u32 nr = 0;

	if (op->flags & LPATCH_OP_FLAGS_REPLACE)
		list_for_each_entry(record, &op->target->records, node)
			nr += lp_places_involve(op, record);
	return nr;
}

static int lp_do_apply(struct lp_op *op)
{
	bool dry_run = op->flags & LPATCH_OP_FLAGS_DRY_RUN;
	bool loaded = !op->record;
	u32 replaces = lp_op_replaces(op);
	int ret;

	if (op->record && op->record->state == LPATCH_STATE_APPLIED &&
	    !lp_live_drifted(op->record, &op->live) && !replaces)
		return lp_refuse_already(op, "applied");
	if (dry_run)
		return lp_overwrite(op);
	/* Without it, which is as well, nobody is told. */
	op->replaced = replaces ? kvcalloc(replaces, sizeof(*op->replaced), GFP_KERNEL_ACCOUNT) : NULL;
	ret = loaded ? lp_load_map(op) : lp_load_complete(op);
	if (ret)
		return ret;
	ret = lp_overwrite(op);
	if (!ret)
		lp_op_record(op);
	else if (loaded)
		lp_load_unmap(op); /* nobody could have come across it yet */
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
		return lp_op_refuse(op, LPATCH_REFUSAL_NOT_APPLIED,
				    "patch %s is not applied in %s[%u]", op->patch->name,
				    op->target->comm, op->pid);
	ret = lp_overwrite(op);
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
		return lp_op_refuse(op, LPATCH_REFUSAL_STILL_APPLIED,
				    "patch %s is applied in %s[%u], restore it first",
				    op->patch->name, op->target->comm, op->pid);
	ret = lp_quiesce(op);
	return ret ?: lp_load_unmap(op);
}

/* What is in the target counts, should two clients have sealed objects of the same hash. */
static void lp_op_use_record(struct lp_op *op)
{
	op->record = lp_record_find(op->target, op->patch);
	if (op->record) {
		lp_patch_get(op->record->patch);
		lp_patch_put(op->patch);
		op->patch = op->record->patch;
		op->base = op->record->base;
	}
}

static int lp_look_once(struct lp_op *op)
{
	int ret = lp_op_lock_memory(op);

	if (ret)
		return ret;
	ret = lp_live_look(op->target, op->record, &op->live);
	mmap_read_unlock(op->target->mm);
	return ret;
}

/*
 * Sees before an apply or a load whether the patch that is there drifted. An operation with a short time-out waits
 * for LP_LOOK_TRIES nevertheless. Return: 0 or a refusal.
 */
static int lp_op_look(struct lp_op *op)
{
	u64 until = ktime_get_ns() + op->timeout;
	unsigned int tries = LP_LOOK_TRIES;
	const struct lp_site *site;
	int ret;

	while ((ret = lp_look_once(op)) == -EAGAIN) {
		if (lp_op_pause(op, LP_LOOK_PAUSE))
			return lp_refuse_canceled(op);
		if (tries)
			tries--;
		else if (ktime_get_ns() > until)
			break;
	}
	if (ret != -EAGAIN)
		return ret;
	site = op->live.missing;
	strscpy(op->function, site->symbol, sizeof(op->function));
	return lp_op_refuse(op, LPATCH_REFUSAL_SITE_UNREADABLE,
			    "the page of %s did not come into the memory of %s[%u] in time",
			    site->symbol, op->target->comm, op->pid);
}

static int lp_op_dispatch(struct lp_op *op)
{
	int ret;

	lp_op_use_record(op);
	ret = op->record && (op->verb == LP_APPLY || op->verb == LP_LOAD) ? lp_op_look(op) : 0;
	if (ret)
		return ret;
	/* What is there already can be taken out whatever it is. */
	if ((op->verb == LP_LOAD || op->verb == LP_APPLY) && !lp_sign_permits(op->patch))
		return lp_op_refuse(op, LPATCH_REFUSAL_UNSIGNED,
				    "patch %s has no valid signature, which this kernel requires by now (lpatch.require_signature or lockdown)",
				    op->patch->name);
	switch (op->verb) {
	case LP_LOAD:
		return lp_do_load(op);
	case LP_APPLY:
		return lp_do_apply(op);
	case LP_RESTORE:
		return lp_do_restore(op);
	case LP_RECOUNT:
		return op->record ? lp_recount(op) : lp_refuse_absent(op);
	default:
		return lp_do_unload(op);
	}
}

/* What the outcome says of the patch in the target. A dry run foretells who would be in old code. */
static void lp_op_conclude(struct lp_op *op)
{
	if (!op->record)
		return;
	op->state = op->record->state;
	if (!(op->flags & LPATCH_OP_FLAGS_DRY_RUN) || op->refusal != LPATCH_REFUSAL_NONE)
		op->active = op->record->active;
}

/**
 * lp_op_do() - do an operation
 * @op: gets the outcome
 *
 * Context: lp_target.lock held, by a kthread that uses the target's mm or a thread of the target.
 */
void lp_op_do(struct lp_op *op)
{
	lp_op_dispatch(op);
	lp_op_conclude(op);
}
