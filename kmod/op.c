// SPDX-License-Identifier: GPL-2.0
/* An operation on one target, and how its waits are interrupted. */

#include <linux/completion.h>
#include <linux/mmap_lock.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include "op.h"
#include "patch.h"
#include "target.h"

/**
 * lpatch_op_alloc() - allocate an operation, which has no target yet
 * @request: what to do; must outlive the operation
 * @patch: the patch; the operation takes its own reference
 *
 * Return: the operation, or NULL if out of memory.
 */
struct lp_op *lpatch_op_alloc(const struct lp_request *request, struct lp_patch *patch)
{
	struct lp_op *op = kzalloc(sizeof(*op), GFP_KERNEL_ACCOUNT);

	if (!op)
		return NULL;
	op->request = request;
	op->change = lpatch_next_id();
	lpatch_patch_get(patch);
	op->patch = patch;
	return op;
}

void lpatch_op_free(struct lp_op *op)
{
	struct lp_outcome *out = &op->outcome;

	while (out->nr_replaced--) {
		lpatch_patch_put(out->replaced[out->nr_replaced]->patch);
		kfree(out->replaced[out->nr_replaced]);
	}
	kvfree(out->replaced);
	lpatch_patch_put(op->patch);
	kfree(op);
}

unsigned long lpatch_op_site_addr(const struct lp_op *op, const struct lp_site *site)
{
	return op->bases[site->image] + site->vaddr;
}

/* Is the operation canceled: was the client, or the process that patches itself, killed? */
bool lpatch_op_is_canceled(const struct lp_op *op)
{
	return op->canceled ? completion_done(op->canceled) : fatal_signal_pending(current);
}

/* Sleeps for @time jiffies, or until the operation is canceled. Return: whether it is canceled. */
bool lpatch_op_pause(const struct lp_op *op, unsigned long time)
{
	if (op->canceled)
		return wait_for_completion_timeout(op->canceled, time);
	schedule_timeout_killable(time);
	return fatal_signal_pending(current);
}

/**
 * lpatch_op_wait_begin() - let the client interrupt what the operation waits for
 * @op: performed by current
 *
 * Followed by lpatch_op_wait_end() in any case. Waits between the two, for pages or locks that may
 * never become available, must give up on SIGKILL. User space cannot send SIGKILL to a kthread.
 *
 * Return: false if the client is gone, and the operation must not wait.
 */
bool lpatch_op_wait_begin(const struct lp_op *op)
{
	if (op->canceled)
		allow_kernel_signal(SIGKILL);
	/*
	 * Check after allowing the signal: lp_op_wait() in run.c completes @canceled before it
	 * sends the signal.
	 */
	return !lpatch_op_is_canceled(op);
}

/* Also flushes a signal that a kthread received. */
void lpatch_op_wait_end(const struct lp_op *op)
{
	if (op->canceled)
		disallow_signal(SIGKILL);
}

/**
 * lpatch_op_lock_memory() - take the target's mmap_lock for read
 * @op: performed by current
 * @out: set to the refusal, if any
 *
 * The holder of the lock may wait for anything. The operation must not wait for the lock forever,
 * since other operations wait for their turn.
 *
 * Return: 0, or a refusal, also if the client is gone.
 */
int lpatch_op_lock_memory(const struct lp_op *op, struct lp_outcome *out)
{
	bool wanted = lpatch_op_wait_begin(op), locked;

	locked = wanted && !mmap_read_lock_killable(op->target->mm);
	lpatch_op_wait_end(op);
	if (locked)
		return 0;
	if (lpatch_op_is_canceled(op))
		return lpatch_refuse_canceled(out);
	return lpatch_refuse(out, LPATCH_REFUSAL_SITE_UNREADABLE,
			     "somebody holds the lock of the address space of %s[%u]", op->target->comm,
			     op->request->pid);
}
