// SPDX-License-Identifier: GPL-2.0
/*
 * Who does an operation. For a client it is a kthread, which uses the target's mm, while the client's
 * thread waits; what a process does to itself as it starts, its own thread does, at its own expense.
 */

#include <linux/completion.h>
#include <linux/kthread.h>
#include <linux/sched/signal.h>

#include "op.h"
#include "run.h"
#include "target.h"
#include "verb.h"

/**
 * struct lp_run - an operation that a kthread does, while the client's thread waits
 * @op: the operation
 * @canceled: completed when the client is being killed
 * @done: completed when there is an outcome
 */
struct lp_run {
	struct lp_op *op;
	struct completion canceled;
	struct completion done;
};

/* How long beyond its time-out an operation may wait for memory. */
#define LP_OP_GRACE (5 * HZ)

/* As long as lp_op_wait() would wait. Return: whether it has the lock. */
static bool lp_op_trylock_target(const struct lp_op *op)
{
	unsigned long until = jiffies + nsecs_to_jiffies(op->request->timeout) + LP_OP_GRACE;

	while (down_trylock(&op->target->lock))
		if (time_after(jiffies, until) || lpatch_op_pause(op, 1))
			return false;
	return true;
}

/*
 * Not inlined: whoever looks for what an operation waits for finds this name in its stack. The functions of a
 * semaphore are not in it. Return: 0 with the lock of the target held, or a refusal.
 */
static noinline int lp_op_lock_target(struct lp_op *op)
{
	bool wanted = lpatch_op_wait_begin(op), locked;

	/* The thread may itself be what the other operation waits for. */
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
 * lpatch_op_run_here() - do an operation in this thread
 * @op: as for lpatch_op_run()
 *
 * The outcome is in @op.
 *
 * Context: a kthread that uses the target's mm, or a thread of the target on its way to user mode; no lock
 * held.
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
	/* The client's thread collects this one. */
	set_current_state(TASK_UNINTERRUPTIBLE);
	while (!kthread_should_stop()) {
		schedule();
		set_current_state(TASK_UNINTERRUPTIBLE);
	}
	__set_current_state(TASK_RUNNING);
	return 0;
}

/*
 * Waits for the outcome. If the client is killed meanwhile the operation is called off. Waiting for
 * memory ends then, or when the time is up: again and again, for it may begin anew.
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
 * lpatch_op_run() - do an operation for a client
 * @op: with target
 *
 * The outcome is in @op. If the client is killed meanwhile, the operation completes or is called off, and
 * nothing is left half done.
 *
 * Context: the client's.
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
	/* Not kthread_stop() yet: a thread that has not started would never do so. */
	lp_op_wait(&run, thread);
	kthread_stop(thread);
	return 0;
}
