// SPDX-License-Identifier: GPL-2.0
/*
 * Runs operations. A client's operation runs in a kthread that uses the target's mm, while the
 * client's thread waits. A starting process runs its operation itself, in its own thread, which is
 * charged for it.
 */

#include <linux/completion.h>
#include <linux/kthread.h>
#include <linux/sched/signal.h>

#include "op.h"
#include "run.h"
#include "target.h"
#include "verb.h"

/**
 * struct lp_run - an operation that runs in a kthread while the client's thread waits
 * @op: the operation
 * @canceled: completed when the client is killed
 * @done: completed when there is an outcome
 */
struct lp_run {
	struct lp_op *op;
	struct completion canceled;
	struct completion done;
};

/* How long an operation may wait for memory after its timeout, in jiffies. */
#define LP_OP_GRACE (5 * HZ)

/* Waits for the target's lock as long as lp_op_wait() would. Return: whether the lock was taken. */
static bool lp_op_trylock_target(const struct lp_op *op)
{
	unsigned long until = jiffies + nsecs_to_jiffies(op->request->timeout) + LP_OP_GRACE;

	while (down_trylock(&op->target->lock))
		if (time_after(jiffies, until) || lpatch_op_pause(op, 1))
			return false;
	return true;
}

/*
 * Takes the lock of the target. Not inlined, so that its name shows in a stack trace of a waiting
 * operation, which does not show the functions of the semaphore. Return: 0, or a refusal.
 */
static noinline int lp_op_lock_target(struct lp_op *op)
{
	bool wanted = lpatch_op_wait_begin(op), locked;

	/*
	 * A starting thread may itself be what the other operation waits for, so it does not block
	 * on the lock.
	 */
	locked = wanted && (op->canceled ? !down_killable(&op->target->lock) : lp_op_trylock_target(op));
	lpatch_op_wait_end(op);
	if (locked)
		return 0;
	if (lpatch_op_is_canceled(op))
		return lpatch_refuse_canceled(&op->outcome);
	return lpatch_refuse(&op->outcome, LPATCH_REFUSAL_THREAD_RUNNING,
			     "another operation on %s[%u] did not end in time", op->target->comm,
			     op->request->pid);
}

/**
 * lpatch_op_run_here() - run an operation in the current thread
 * @op: as for lpatch_op_run(); gets the outcome
 *
 * Context: a kthread that uses the target's mm, or a thread of the target on its way to user mode;
 * no lock held.
 */
void lpatch_op_run_here(struct lp_op *op)
{
	if (lp_op_lock_target(op))
		return;
	lpatch_op_do(op);
	up(&op->target->lock);
}

static int lp_op_thread(void *arg)
{
	struct lp_run *run = arg;
	struct mm_struct *mm = run->op->target->mm;

	kthread_use_mm(mm);
	lpatch_op_run_here(run->op);
	kthread_unuse_mm(mm);
	complete(&run->done);
	/* Wait for kthread_stop() by the client's thread. */
	set_current_state(TASK_UNINTERRUPTIBLE);
	while (!kthread_should_stop()) {
		schedule();
		set_current_state(TASK_UNINTERRUPTIBLE);
	}
	__set_current_state(TASK_RUNNING);
	return 0;
}

/*
 * Waits for the outcome. If the client is killed meanwhile, the operation is canceled. When the
 * client is killed or the time is up, SIGKILL interrupts the kthread's wait for memory. It is sent
 * repeatedly, since the kthread may begin another wait.
 */
static void lp_op_wait(struct lp_run *run, struct task_struct *thread)
{
	unsigned long time = nsecs_to_jiffies(run->op->request->timeout) + LP_OP_GRACE;
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
 * lpatch_op_run() - run an operation for a client
 * @op: with target; gets the outcome
 *
 * If the client is killed meanwhile, the operation completes or is canceled. It is never left half
 * done.
 *
 * Context: the client.
 * Return: 0 if there is an outcome, or a negative errno.
 */
int lpatch_op_run(struct lp_op *op)
{
	struct lp_run run = { .op = op };
	struct task_struct *thread;

	init_completion(&run.canceled);
	init_completion(&run.done);
	op->canceled = &run.canceled;
	thread = kthread_run(lp_op_thread, &run, "lpatch/%u", op->request->pid);
	if (IS_ERR(thread))
		return PTR_ERR(thread);
	/* Do not call kthread_stop() before: a kthread that has not started yet would never run. */
	lp_op_wait(&run, thread);
	kthread_stop(thread);
	return 0;
}
