// SPDX-License-Identifier: GPL-2.0
/*
 * Who does an operation, and what ends its waiting. For a client it is a kthread, which uses the target's
 * mm, while the client's thread waits; what a process does to itself as it starts, its own thread does, at
 * its own expense.
 */

#include <linux/kthread.h>
#include <linux/mmap_lock.h>
#include <linux/sched/signal.h>

#include "op.h"
#include "target.h"

/* How long beyond its time-out an operation may wait for memory. */
#define LP_OP_GRACE (5 * HZ)

/* As long as lp_op_wait() would wait. Return: whether it has the lock. */
static bool lp_op_trylock_target(struct lp_op *op)
{
	unsigned long until = jiffies + nsecs_to_jiffies(op->timeout) + LP_OP_GRACE;

	while (down_trylock(&op->target->lock))
		if (time_after(jiffies, until) || lp_op_pause(op, 1))
			return false;
	return true;
}

/*
 * Not inlined: whoever looks for what an operation waits for finds this name in its stack. The functions of a
 * semaphore are not in it. Return: 0 with the lock of the target held, or a refusal.
 */
static noinline int lp_op_lock_target(struct lp_op *op)
{
	bool wanted = lp_op_wait_begin(op), locked;

	/* The thread may itself be what the other operation waits for. */
	locked = wanted && (op->run ? !down_killable(&op->target->lock) : lp_op_trylock_target(op));
	lp_op_wait_end(op);
	if (locked)
		return 0;
	if (lp_op_is_canceled(op))
		return lp_refuse_canceled(op);
	return lp_op_refuse(op, LPATCH_REFUSAL_THREAD_RUNNING,
			    "another operation on %s[%u] did not end in time", op->target->comm,
			    op->pid);
}

/**
 * lp_op_run_here() - do an operation in this thread
 * @op: as for lp_op_run()
 *
 * The outcome is in @op.
 *
 * Context: a kthread that uses the target's mm, or a thread of the target on its way to user mode; no lock
 * held.
 */
void lp_op_run_here(struct lp_op *op)
{
	if (lp_op_lock_target(op))
		return;
	lp_op_do(op);
	up(&op->target->lock);
}

static int lp_op_thread(void *arg)
{
	struct lp_run *run = arg;
	struct mm_struct *mm = run->op->target->mm;

	kthread_use_mm(mm);
	lp_op_run_here(run->op);
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
	thread = kthread_run(lp_op_thread, &run, "lpatch/%u", op->pid);
	if (IS_ERR(thread))
		return PTR_ERR(thread);
	/* Not kthread_stop() yet: a thread that has not started would never do so. */
	lp_op_wait(&run, thread);
	kthread_stop(thread);
	return 0;
}
