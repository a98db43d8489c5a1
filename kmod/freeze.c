// SPDX-License-Identifier: GPL-2.0
/*
 * Freezing a target:
 *
 *   prepare: list every thread on the mm and give each a gate. From here on newtask lists new
 *	threads
 *   stage: queue the gates of threads that are not running, to shorten the window
 *   begin: open the window: mark the mm frozen, queue the gates, do one synchronous IPI round.
 *	After it no thread of the target executes user instructions: a thread that was in user
 *	mode took the interrupt after its gate was queued, any other thread is in the kernel and
 *	has to pass its gate first
 *   commit: the point of no return; fails if the deadline passed first
 *   end: serialize the CPUs, release all threads
 *   finish: drop the list of threads. The gates of threads that slept through the window stay
 *	queued and do nothing when they run
 *
 * Windows of different targets are independent. One target has at most one window at a time, by
 * lp_target.lock.
 *
 * Except in a long window, the freezer keeps its CPU from begin to end. Otherwise each wake-up
 * could preempt it for as long as other tasks want the CPU, and so could a thread of the target
 * with a higher priority that was just released, before the freezer has released the mmap_lock. A
 * usual window takes some tens of microseconds. A window that takes longer than LP_ATOMIC_NS,
 * because a stack is deep or a thread does not leave the kernel, yields to other tasks
 * (lpatch_freeze_relax()). So LP_ATOMIC_NS, plus the time to write the bytes of one patch, is the
 * longest that lpatch delays a real-time task.
 *
 * The deadline does not depend on the freezer being scheduled: a held thread that sees it pass
 * before the commit ends the freeze itself.
 */

#include <linux/ktime.h>
#include <linux/mm_types.h>
#include <linux/rcupdate.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/sched/task.h>
#include <linux/slab.h>

#include "compat.h"
#include "freeze.h"
#include "gate.h"
#include "round.h"
#include "trace.h"
#include "window.h"

/*
 * Threads that may be created while a target is prepared, in addition to a multiple of its threads.
 */
#define LP_SPARE_GATES 64

/* How long a window may delay other tasks on its CPU. */
#define LP_ATOMIC_NS (500 * NSEC_PER_USEC)

/* Number of freezes between prepare and finish. While it is 0, newtask returns at once. */
static atomic_t lp_nr_freezes = ATOMIC_INIT(0);

/* Lists @task unless it is listed already. Return: its gate, or NULL if no spare gate is left. */
static struct lp_gate *lp_freeze_list(struct lp_freeze *f, struct task_struct *task)
{
	struct lp_gate *gate = lpatch_gate_find(task);

	lockdep_assert_held(&lpatch_gate_lock);
	if (gate && gate->freeze == f)
		return gate;
	if (f->nr == f->max || !f->nr_spare) {
		WRITE_ONCE(f->exhausted, true);
		return NULL;
	}
	if (!gate) {
		gate = f->spare[--f->nr_spare];
		lpatch_gate_bind(gate, task);
	}
	gate->refs++;
	gate->freeze = f;
	f->threads[f->nr] = (struct lp_thread){ .gate = gate };
	/*
	 * Publish the entry before the count: lp_freeze_queue() and the checks read nr without the
	 * lock. Pairs with the acquire in lpatch_freeze_nr().
	 */
	smp_store_release(&f->nr, f->nr + 1);
	return gate;
}

/* Kernel threads and io_uring or vhost workers share the mm but never enter user mode. */
static bool lp_enters_user_mode(const struct task_struct *task)
{
	/* A thread changes only its own flags, and none of these is ever cleared. */
	return !(READ_ONCE(task->flags) & (PF_KTHREAD | PF_IO_WORKER | PF_USER_WORKER | PF_EXITING));
}

/**
 * lpatch_freeze_born() - list a new task if its mm is being frozen
 * @task: on the task list, has not run yet
 *
 * Context: preemption disabled.
 */
void lpatch_freeze_born(struct task_struct *task)
{
	struct lp_gate *gate;
	struct lp_window *w;
	unsigned long flags;

	/*
	 * Orders the insertion of the child into the thread list before the read of the counter.
	 * Pairs with smp_mb() in lpatch_freeze_prepare(). Either the walk there finds the child, or
	 * this function finds the freeze.
	 */
	smp_mb();
	if (likely(!atomic_read(&lp_nr_freezes)) || !task->mm || !lp_enters_user_mode(task))
		return;
	raw_spin_lock_irqsave(&lpatch_gate_lock, flags);
	w = lpatch_window_find(task->mm);
	if (w) {
		gate = lp_freeze_list(w->freeze, task);
		/*
		 * Pairs with smp_mb() in lpatch_window_open(), called by lpatch_freeze_begin().
		 * Either the freezer finds the child in its list, or this function finds the mm
		 * frozen.
		 */
		smp_mb();
		if (gate && lpatch_window_holds(w))
			lpatch_gate_queue(gate);
	}
	raw_spin_unlock_irqrestore(&lpatch_gate_lock, flags);
}

static int lp_freeze_alloc(struct lp_freeze *f, unsigned int threads)
{
	f->window = lpatch_window_new(f->mm, f);
	if (!f->window)
		return -ENOMEM;
	f->max = 3 * threads + LP_SPARE_GATES;
	f->threads = kvmalloc_array(f->max, sizeof(*f->threads), GFP_KERNEL_ACCOUNT);
	f->spare = kvmalloc_array(f->max, sizeof(*f->spare), GFP_KERNEL_ACCOUNT);
	if (!f->threads || !f->spare)
		return -ENOMEM;
	while (f->nr_spare < f->max) {
		struct lp_gate *gate = lpatch_gate_alloc();

		if (!gate)
			return -ENOMEM;
		f->spare[f->nr_spare++] = gate;
	}
	return 0;
}

/* Does the thread have to be stopped? */
static bool lp_freeze_concerns(const struct lp_freeze *f, const struct task_struct *task)
{
	return READ_ONCE(task->mm) == f->mm && task != f->self && lp_enters_user_mode(task);
}

/* Lists all existing threads. Walks all processes, because CLONE_VM does not imply CLONE_THREAD. */
static void lp_freeze_walk(struct lp_freeze *f)
{
	struct task_struct *p, *t;
	unsigned long flags;

	rcu_read_lock();
	for_each_process_thread(p, t) {
		if (!lp_freeze_concerns(f, t))
			continue;
		raw_spin_lock_irqsave(&lpatch_gate_lock, flags);
		lp_freeze_list(f, t);
		raw_spin_unlock_irqrestore(&lpatch_gate_lock, flags);
	}
	rcu_read_unlock();
}

/* Is current the only task that uses its mm? Then only current itself can change that. */
static bool lp_freeze_is_alone(const struct lp_freeze *f)
{
	return f->self && thread_group_empty(f->self) && atomic_read(&f->mm->mm_users) == 1;
}

/**
 * lpatch_freeze_prepare() - list the threads of a target and give each a gate
 * @f: zeroed; call lpatch_freeze_finish() on it, also after an error
 * @mm: the target; the caller's reference on mm_users outlives @f
 *
 * Context: process; a kthread, or a thread of the target, which is not frozen itself. Stops no
 * thread. lp_target.lock held.
 * Return: 0, -ENOMEM, or -EAGAIN if threads were created faster than they could be listed.
 */
int lpatch_freeze_prepare(struct lp_freeze *f, struct mm_struct *mm)
{
	unsigned long flags;
	int ret;

	f->mm = mm;
	f->self = current->flags & PF_KTHREAD ? NULL : current;
	if (lp_freeze_is_alone(f))
		return 0;
	ret = lp_freeze_alloc(f, atomic_read(&mm->mm_users));
	if (ret)
		return ret;
	raw_spin_lock_irqsave(&lpatch_gate_lock, flags);
	lpatch_window_add(f->window);
	raw_spin_unlock_irqrestore(&lpatch_gate_lock, flags);
	atomic_inc(&lp_nr_freezes);
	smp_mb(); /* pairs with the first smp_mb() in lpatch_freeze_born() */
	lp_freeze_walk(f);
	return READ_ONCE(f->exhausted) ? -EAGAIN : 0;
}

/* Drops the list of threads. A gate that is still queued lives until its thread runs it. */
void lpatch_freeze_finish(struct lp_freeze *f)
{
	unsigned long flags;
	unsigned int i;

	if (f->window && !hlist_unhashed(&f->window->node)) {
		raw_spin_lock_irqsave(&lpatch_gate_lock, flags);
		lpatch_window_del(f->window);
		for (i = 0; i < f->nr; i++)
			if (f->threads[i].gate->freeze == f)
				f->threads[i].gate->freeze = NULL;
		raw_spin_unlock_irqrestore(&lpatch_gate_lock, flags);
		atomic_dec(&lp_nr_freezes);
	}
	for (i = 0; i < f->nr; i++)
		lpatch_gate_put(f->threads[i].gate);
	while (f->nr_spare)
		lpatch_gate_free(f->spare[--f->nr_spare]);
	kvfree(f->threads);
	kvfree(f->spare);
	if (f->window)
		lpatch_window_put(f->window);
	f->window = NULL;
	f->threads = NULL;
	f->spare = NULL;
	f->nr = 0;
}

unsigned int lpatch_freeze_nr(const struct lp_freeze *f)
{
	/*
	 * Pairs with the release in lp_freeze_list(): this many entries can be read without the
	 * lock.
	 */
	return smp_load_acquire(&f->nr);
}

/*
 * Queues the gates that are not queued yet; those of running threads only if @running.
 *
 * In a window, with the mm marked frozen, a gate that is queued already is as good as a new one: if
 * the exchange in lp_gate_run() precedes the read here, the gate is queued again; if it follows,
 * the thread finds its mm frozen. So for a sleeping thread the window touches nothing but the gate.
 */
static void lp_freeze_queue(struct lp_freeze *f, bool running)
{
	unsigned long flags;
	unsigned int i;

	for (i = 0; i < lpatch_freeze_nr(f); i++) {
		struct lp_gate *gate = f->threads[i].gate;

		if (atomic_read(&gate->queued) || (!running && READ_ONCE(gate->task->on_cpu)))
			continue;
		raw_spin_lock_irqsave(&lpatch_gate_lock, flags);
		lpatch_gate_queue(gate);
		raw_spin_unlock_irqrestore(&lpatch_gate_lock, flags);
	}
}

/**
 * lpatch_freeze_stage() - queue the gates of the threads that are not running
 * @f: prepared
 *
 * Called right before lpatch_freeze_begin(), which then has few gates left to queue. A thread that
 * runs in between passes its gate, since the window is not open yet.
 */
void lpatch_freeze_stage(struct lp_freeze *f)
{
	lp_freeze_queue(f, false);
}

/*
 * Is there a gate for every thread that can still be created in the window? A thread in the middle
 * of clone() creates at most one child before it meets its own gate, and the child meets its gate
 * before it can call clone().
 */
static bool lp_freeze_has_spare(struct lp_freeze *f)
{
	unsigned long flags;
	bool enough;

	raw_spin_lock_irqsave(&lpatch_gate_lock, flags);
	enough = !f->exhausted && f->nr_spare >= f->nr && f->max - f->nr >= f->nr;
	raw_spin_unlock_irqrestore(&lpatch_gate_lock, flags);
	return enough;
}

/* Adds the time since the last call to @part. */
void lpatch_freeze_lap(struct lp_freeze *f, u64 *part)
{
	u64 now = ktime_get_ns();

	*part += now - f->mark;
	f->mark = now;
}

/**
 * lpatch_freeze_begin() - open the stop window
 * @f: prepared
 * @max_stop: ns from now after which nothing is written any more
 *
 * Call lpatch_freeze_end() afterwards in any case. In between the caller must not fault, allocate,
 * sleep or take a lock that a thread of the target may hold.
 *
 * Context: preemption disabled.
 * Return: 0, or -EAGAIN if so many threads were created since lpatch_freeze_prepare() that it has
 * to be repeated.
 */
int lpatch_freeze_begin(struct lp_freeze *f, u64 max_stop)
{
	struct lp_window *w = f->window;
	unsigned int i;

	f->times = (struct lp_times){};
	f->began = ktime_get_ns();
	f->mark = f->began;
	f->relaxed = f->began;
	f->deadline = f->began + max_stop;
	if (!w)
		return 0;
	for (i = 0; i < lpatch_freeze_nr(f); i++)
		WRITE_ONCE(f->threads[i].gate->held_at, 0);
	/* A full barrier: see lp_gate_run(), lp_freeze_queue() and lpatch_freeze_born(). */
	lpatch_window_open(w, f->deadline);
	if (!lp_freeze_has_spare(f))
		return -EAGAIN;
	/* Queue the gates of running threads last, so that these run unhindered until then. */
	lp_freeze_queue(f, false);
	lp_freeze_queue(f, true);
	lpatch_freeze_lap(f, &f->times.gate);
	trace_gate(f, f->times.gate);
	lpatch_round_stop(f->mm);
	lpatch_freeze_lap(f, &f->times.barrier);
	trace_barrier(f, f->times.barrier);
	return 0;
}

/* Yields the CPU in a window that takes long. Called in each iteration of a loop. */
void lpatch_freeze_relax(struct lp_freeze *f)
{
	cpu_relax();
	if (!need_resched() || ktime_get_ns() - f->relaxed < LP_ATOMIC_NS)
		return;
	preempt_enable();
	cond_resched();
	preempt_disable();
	f->relaxed = ktime_get_ns();
}

bool lpatch_freeze_expired(const struct lp_freeze *f)
{
	return f->window &&
	       (atomic_read(&f->window->state) != LP_FREEZING || ktime_get_ns() >= f->deadline);
}

/*
 * Is the task exiting, or switching to another mm in execve()? Then it never returns to user mode
 * in this mm. A pending SIGKILL is not enough: get_signal() dequeues it before PF_EXITING is set.
 * The marks of a group exit or exec in the signal struct may be cleared again when the last other
 * thread has left, but PF_EXITING or the new mm is visible by then, hence the order of the reads.
 */
static bool lp_leaves(const struct lp_freeze *f, const struct task_struct *task)
{
	const struct task_struct *exec = READ_ONCE(task->signal->group_exec_task);
	unsigned int flags = READ_ONCE(task->signal->flags);

	if ((exec && exec != task) || (flags & SIGNAL_GROUP_EXIT))
		return true;
	smp_rmb(); /* de_thread() waits for the other threads under the lock that they take when they exit */
	return READ_ONCE(task->mm) != f->mm || (READ_ONCE(task->flags) & PF_EXITING);
}

/*
 * Is every thread that may run on this mm listed? A new task does not run before
 * lpatch_freeze_born() has returned.
 */
static bool lp_freeze_lists_all(struct lp_freeze *f)
{
	struct task_struct *p, *t;
	unsigned long flags;
	bool all = true;

	rcu_read_lock();
	for_each_process_thread(p, t) {
		struct lp_gate *gate;

		if (!lp_freeze_concerns(f, t) || READ_ONCE(t->__state) == TASK_NEW)
			continue;
		raw_spin_lock_irqsave(&lpatch_gate_lock, flags);
		gate = lpatch_gate_find(t);
		/* It may have called execve() meanwhile and be listed by another freeze. */
		all = all && ((gate && gate->freeze == f) || READ_ONCE(t->mm) != f->mm);
		raw_spin_unlock_irqrestore(&lpatch_gate_lock, flags);
	}
	rcu_read_unlock();
	return all;
}

/*
 * Checks the invariant that the window provides: no thread can return to user mode. The walk over
 * all threads of the system is for debug kernels.
 */
static bool lp_freeze_holds_all(struct lp_freeze *f)
{
	unsigned int i, nr;
	unsigned long flags;

	/*
	 * The lock ensures that the gate of a listed child is queued as well. A child that is
	 * created later does not run before its gate is queued.
	 */
	raw_spin_lock_irqsave(&lpatch_gate_lock, flags);
	nr = f->nr;
	raw_spin_unlock_irqrestore(&lpatch_gate_lock, flags);
	if (READ_ONCE(f->exhausted))
		return false;
	for (i = 0; i < nr; i++) {
		const struct lp_gate *gate = f->threads[i].gate;

		if (!lpatch_gate_bars(gate) && !lp_leaves(f, gate->task))
			return false;
	}
	return !IS_ENABLED(CONFIG_DEBUG_VM) || lp_freeze_lists_all(f);
}

/**
 * lpatch_freeze_commit() - decide to write
 * @f: in its window, all checks passed
 *
 * Return: 0 if all threads stay held until lpatch_freeze_end(); the caller must do nothing that can
 * fail before it. Otherwise nothing may be written: -ETIME if the deadline has passed,
 * -ENOTRECOVERABLE if a thread could run.
 */
int lpatch_freeze_commit(struct lp_freeze *f)
{
	if (!f->window)
		return 0; /* no thread was stopped */
	if (ktime_get_ns() >= f->deadline || !lpatch_window_commit(f->window))
		return -ETIME;
	/*
	 * Check after the commit: until then a thread that sees the deadline pass releases all
	 * others.
	 */
	return WARN_ON_ONCE(!lp_freeze_holds_all(f)) ? -ENOTRECOVERABLE : 0;
}

static u64 lp_longest_hold(const struct lp_freeze *f, u64 released)
{
	u64 longest = 0;
	unsigned int i;

	for (i = 0; i < lpatch_freeze_nr(f); i++) {
		u64 at = READ_ONCE(f->threads[i].gate->held_at);

		if (at && at < released)
			longest = max(longest, released - at);
	}
	return longest;
}

/**
 * lpatch_freeze_end() - close the window and release all threads
 * @f: begun
 * @written: bytes of the target were changed
 *
 * If so, every CPU refetches them before a thread is released; each gate serializes its own CPU,
 * too.
 */
void lpatch_freeze_end(struct lp_freeze *f, bool written)
{
	if (written)
		lpatch_round_sync(f->mm);
	if (f->window)
		lpatch_window_close(f->window);
	lpatch_freeze_lap(f, &f->times.release);
	if (!f->window)
		return; /* no thread was stopped */
	f->times.stop = f->mark - f->began;
	f->times.longest_thread = lp_longest_hold(f, f->mark);
	trace_release(f);
}
