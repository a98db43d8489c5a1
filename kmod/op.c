// SPDX-License-Identifier: GPL-2.0
/*
 * Operations on one target: the verbs, and who does them. For a client it is a kthread, which uses the
 * target's mm, while the client's thread waits; what a process does to itself as it starts, its own
 * thread does, at its own expense.
 */

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

/* How long beyond its time-out an operation may wait for memory. */
#define LP_OP_GRACE (5 * HZ)

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
	struct lp_op *op = kzalloc(sizeof(*op), GFP_KERNEL);

	if (!op)
		return NULL;
	op->verb = verb;
	op->scan.buf = kmalloc(LP_SCAN_BUF, GFP_KERNEL);
	if (op->scan.buf)
		return op;
	kfree(op);
	return NULL;
}

void lp_op_free(struct lp_op *op)
{
	kfree(op->scan.buf);
	kvfree(op->places);
	kvfree(op->spans);
	kfree(op);
}

/* Between lp_records_lock() and lp_records_unlock(). */
static void lp_record_change(const struct lp_op *op, struct lp_record *record, u32 state)
{
	record->state = state;
	record->since = op->since;
	record->times = op->freeze.times;
	record->threads = op->threads;
	record->attempts = op->attempts;
	record->max_stop = op->max_stop;
	record->active = record == op->record ? op->active : (struct lp_active){};
}

/* Writes down what was done. */
static void lp_op_record(struct lp_op *op, u32 state)
{
	struct lp_record *record;

	if (state == LPATCH_STATE_APPLIED)
		lp_places_note(op);
	op->since = ktime_get_real_ns();
	lp_records_lock();
	if (state == LPATCH_STATE_APPLIED)
		op->record->order = lp_record_next_order();
	lp_record_change(op, op->record, state);
	if (op->flags & LPATCH_OP_FLAGS_REPLACE)
		list_for_each_entry(record, &op->target->records, node)
			if (lp_places_involve(op, record))
				lp_record_change(op, record, LPATCH_STATE_RESTORED);
	lp_records_unlock();
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

	if (op->record)
		return lp_refuse_already(op, "loaded");
	ret = lp_load_map(op);
	if (!ret)
		lp_op_record(op, LPATCH_STATE_LOADED);
	return ret;
}

/* Is there another patch that is applied and to be restored? */
static bool lp_op_replaces_any(const struct lp_op *op)
{
	const struct lp_record *record;

	if (!(op->flags & LPATCH_OP_FLAGS_REPLACE))
		return false;
	list_for_each_entry(record, &op->target->records, node)
		if (lp_places_involve(op, record))
			return true;
	return false;
}

static int lp_do_apply(struct lp_op *op)
{
	bool dry_run = op->flags & LPATCH_OP_FLAGS_DRY_RUN;
	bool loaded = !op->record;
	int ret;

	if (op->record && op->record->state == LPATCH_STATE_APPLIED &&
	    !lp_live_drifted(op->record, &op->live) && !lp_op_replaces_any(op))
		return lp_refuse_already(op, "applied");
	if (dry_run)
		return lp_overwrite(op);
	ret = loaded ? lp_load_map(op) : lp_load_complete(op);
	if (ret)
		return ret;
	ret = lp_overwrite(op);
	if (!ret)
		lp_op_record(op, LPATCH_STATE_APPLIED);
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
		lp_op_record(op, LPATCH_STATE_RESTORED);
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
	ret = lp_live_look(op->target, op->verb == LP_APPLY ? op->record : NULL, &op->live);
	mmap_read_unlock(op->target->mm);
	return ret;
}

/*
 * Sees what state the patches are in that came by fork, and for an apply whether this one drifted. An
 * operation with a short time-out waits for pages as long as a status does. Return: 0 or a refusal.
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

static int lp_op_do(struct lp_op *op)
{
	int ret;

	lp_op_use_record(op);
	ret = lp_op_look(op);
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

/* Return: 0 with the lock of the target held, or a refusal. */
static int lp_op_lock_target(struct lp_op *op)
{
	bool wanted = lp_op_wait_begin(op), locked;

	locked = wanted && !down_killable(&op->target->lock);
	lp_op_wait_end(op);
	if (locked)
		return 0;
	if (lp_op_is_canceled(op))
		return lp_refuse_canceled(op);
	return lp_op_refuse(op, LPATCH_REFUSAL_THREAD_RUNNING,
			    "another operation on %s[%u] did not end in time", op->target->comm,
			    op->pid);
}

static void lp_op_do_locked(struct lp_op *op)
{
	if (lp_op_lock_target(op))
		return;
	lp_op_do(op);
	lp_op_conclude(op);
	up(&op->target->lock);
}

static int lp_op_thread(void *arg)
{
	struct lp_run *run = arg;
	struct mm_struct *mm = run->op->target->mm;

	kthread_use_mm(mm);
	lp_op_do_locked(run->op);
	kthread_unuse_mm(mm);
	complete(&run->done);
	/* The client's thread collects this one. */
	set_current_state(TASK_UNINTERRUPTIBLE);
	while (!kthread_should_stop()) {
		schedule();
		set_current_state(TASK_UNINTERRUPTIBLE);
	}
	__set_current_state(TASK_RUNNING);
	return 0;
}

/* Is it to be called off: was the client killed, or the process that does it to itself? */
bool lp_op_is_canceled(const struct lp_op *op)
{
	return op->run ? completion_done(&op->run->canceled) : fatal_signal_pending(current);
}

/* Sleeps for @time jiffies, or until the operation is called off. Return: whether it is. */
bool lp_op_pause(struct lp_op *op, unsigned long time)
{
	if (op->run)
		return wait_for_completion_timeout(&op->run->canceled, time);
	schedule_timeout_killable(time);
	return fatal_signal_pending(current);
}

/**
 * lp_op_wait_begin() - from here on the client can end what the operation waits for
 * @op: in the thread that does it
 *
 * Followed by lp_op_wait_end() in any case. What waits between the two, for pages or locks that may
 * never come, must give up at a SIGKILL; userspace cannot send a kthread one.
 *
 * Return: false if the client is gone, and nothing is to be waited for.
 */
bool lp_op_wait_begin(struct lp_op *op)
{
	if (op->run)
		allow_kernel_signal(SIGKILL);
	/* After that: lp_op_wait() completes it, and then sends the signal. */
	return !lp_op_is_canceled(op);
}

/* Also forgets a signal that came to a kthread. */
void lp_op_wait_end(struct lp_op *op)
{
	if (op->run)
		disallow_signal(SIGKILL);
}

/**
 * lp_op_lock_memory() - take the target's mmap_lock for read
 * @op: in its own thread
 *
 * Who holds it may wait for anything, but then this does not: others wait for their turn meanwhile.
 *
 * Return: 0, or a refusal, also if the client went away before.
 */
int lp_op_lock_memory(struct lp_op *op)
{
	bool wanted = lp_op_wait_begin(op), locked;

	locked = wanted && !mmap_read_lock_killable(op->target->mm);
	lp_op_wait_end(op);
	if (locked)
		return 0;
	if (lp_op_is_canceled(op))
		return lp_refuse_canceled(op);
	return lp_op_refuse(op, LPATCH_REFUSAL_SITE_UNREADABLE,
			    "somebody holds the lock of the address space of %s[%u]",
			    op->target->comm, op->pid);
}

/*
 * Waits for the outcome. If the client is killed meanwhile the operation is called off. Waiting for
 * memory ends then, or when the time is up: again and again, for it may begin anew.
 */
static void lp_op_wait(struct lp_run *run, struct task_struct *thread)
{
	unsigned long time = nsecs_to_jiffies(run->op->timeout) + LP_OP_GRACE;
	bool killed = false;
	long left;

	for (;;) {
		if (killed)
			left = wait_for_completion_timeout(&run->done, time);
		else
			left = wait_for_completion_killable_timeout(&run->done, time);
		if (left > 0)
			return;
		if (left < 0) {
			killed = true;
			complete_all(&run->canceled);
		}
		send_sig(SIGKILL, thread, 1);
		time = HZ;
	}
}

/**
 * lp_op_run() - do an operation for a client
 * @op: with verb, flags, limits, patch and target
 *
 * The outcome is in @op. If the client is killed meanwhile, the operation completes or is called off, and
 * nothing is left half done.
 *
 * Context: the client's.
 * Return: 0 if there is an outcome, or a negative errno.
 */
int lp_op_run(struct lp_op *op)
{
	struct lp_run run = { .op = op };
	struct task_struct *thread;

	init_completion(&run.canceled);
	init_completion(&run.done);
	op->run = &run;
	thread = kthread_run(lp_op_thread, &run, "lpatch/%d", pid_nr(op->target->tgid));
	if (IS_ERR(thread))
		return PTR_ERR(thread);
	/* Not kthread_stop() yet: a thread that has not started would never do so. */
	lp_op_wait(&run, thread);
	kthread_stop(thread);
	return 0;
}

/**
 * lp_op_run_self() - do an operation on the process of current
 * @op: as for lp_op_run()
 *
 * The outcome is in @op.
 *
 * Context: current is on its way to user mode, without locks.
 */
void lp_op_run_self(struct lp_op *op)
{
	lp_op_do_locked(op);
}
