// SPDX-License-Identifier: GPL-2.0
/* An operation on one target, and what ends its waiting. */

#include <linux/completion.h>
#include <linux/mmap_lock.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include "op.h"
#include "patch.h"
#include "target.h"

/**
 * lpatch_op_alloc() - make an operation, which has no target yet
 * @request: what it is to do; outlives it
 * @patch: with which; the operation gets a reference of its own
 *
 * Return: it, or NULL without memory.
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

/* Is it to be called off: was the client killed, or the process that does it to itself? */
bool lpatch_op_is_canceled(const struct lp_op *op)
{
	return op->canceled ? completion_done(op->canceled) : fatal_signal_pending(current);
}

/* Sleeps for @time jiffies, or until the operation is called off. Return: whether it is. */
bool lpatch_op_pause(const struct lp_op *op, unsigned long time)
{
	if (op->canceled)
		return wait_for_completion_timeout(op->canceled, time);
	schedule_timeout_killable(time);
	return fatal_signal_pending(current);
}

/**
 * lpatch_op_wait_begin() - from here on the client can end what the operation waits for
 * @op: in the thread that does it
 *
 * Followed by lpatch_op_wait_end() in any case. What waits between the two, for pages or locks that may
 * never come, must give up at a SIGKILL; userspace cannot send a kthread one.
 *
 * Return: false if the client is gone, and nothing is to be waited for.
 */
bool lpatch_op_wait_begin(const struct lp_op *op)
{
	if (op->canceled)
		allow_kernel_signal(SIGKILL);
	/* After that: lp_op_wait() in run.c completes it, and then sends the signal. */
	return !lpatch_op_is_canceled(op);
}

/* Also forgets a signal that came to a kthread. */
void lpatch_op_wait_end(const struct lp_op *op)
{
	if (op->canceled)
		disallow_signal(SIGKILL);
}

/**
 * lpatch_op_lock_memory() - take the target's mmap_lock for read
 * @op: in its own thread
 * @out: gets a refusal
 *
 * Who holds it may wait for anything, but then this does not: others wait for their turn meanwhile.
 *
 * Return: 0, or a refusal, also if the client went away before.
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
