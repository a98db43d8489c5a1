// SPDX-License-Identifier: GPL-2.0
/*
 * Freezing a target:
 *
 *   prepare: list every thread on the mm and give each a gate; from here on newtask adds those to
 *	come
 *   stage: queue the gates of those that do not run, so that the window need not
 *   begin: open the window: mark the mm frozen, queue the gates, one synchronous IPI round. From its
 *	return on no thread of the target executes a user instruction: those that were in user mode
 *	took the interrupt after their gate was queued, all others are in the kernel and have their
 *	gate in front of them
 *   commit: the point of no return; false if the deadline passed first
 *   end: serialize the CPUs, release everybody
 *   finish: forget the threads; the gates of those that slept through stay queued and do nothing
 *	when they run
 *
 * Windows of several targets know nothing of each other; for one there is one at a time, by
 * lp_target.lock.
 *
 * From begin to end the freezer keeps its CPU: each wake-up could preempt it in the middle, for as long
 * as others want the CPU, and a target's thread of a higher priority, that it has just released, before
 * it gave back the mmap_lock. A usual window takes some tens of microseconds. One that takes longer than
 * LP_ATOMIC_NS, since a stack is deep or a thread does not come out of the kernel, lets those on the CPU
 * that want it (lpatch_freeze_relax()), so that is the longest that lpatch keeps a real-time task waiting,
 * but for the writing of the bytes of one patch.
 *
 * The deadline does not depend on the freezer being scheduled: a held thread that finds it passed
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

/* Threads that may be created while a target is prepared, beyond as many as it has. */
#define LP_SPARE_GATES 64

/* How long a window keeps others off its CPU that want it. */
#define LP_ATOMIC_NS (500 * NSEC_PER_USEC)

/* Freezes between prepare and finish. It lets newtask return at once in the usual case. */
static atomic_t lp_nr_freezes = ATOMIC_INIT(0);

/* Lists @task unless it is. Returns its gate, or NULL if there is no spare one. */
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
	/* The entry before its count: lp_freeze_queue() and the checks read nr without the lock. */
	smp_store_release(&f->nr, f->nr + 1);
	return gate;
}

/* Kernel threads and io_uring or vhost workers share the mm but never enter user mode. */
static bool lp_enters_user_mode(const struct task_struct *task)
{
	/* Each thread changes flags of its own; none of these goes away. */
	return !(READ_ONCE(task->flags) & (PF_KTHREAD | PF_IO_WORKER | PF_USER_WORKER | PF_EXITING));
}

/**
 * lpatch_freeze_born() - a task was born
 * @task: on the list of tasks, and has not run yet
 *
 * Context: preemption disabled.
 */
void lpatch_freeze_born(struct task_struct *task)
{
	struct lp_gate *gate;
	struct lp_window *w;
	unsigned long flags;

	/*
	 * Orders the insertion of the child into the thread list before the look at the counter.
	 * Partner: smp_mb() in lpatch_freeze_prepare(). Either the walk there finds the child, or this
	 * finds the freeze.
	 */
	smp_mb();
	if (likely(!atomic_read(&lp_nr_freezes)) || !task->mm || !lp_enters_user_mode(task))
		return;
	raw_spin_lock_irqsave(&lpatch_gate_lock, flags);
	w = lpatch_window_find(task->mm);
	if (w) {
		gate = lp_freeze_list(w->freeze, task);
		/*
		 * Partner: smp_mb() in lpatch_freeze_begin(). Either the freezer finds the child in its
		 * list, or this finds the mm frozen.
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

/* Is it a thread that has to be stopped? */
static bool lp_freeze_concerns(const struct lp_freeze *f, const struct task_struct *task)
{
	return READ_ONCE(task->mm) == f->mm && task != f->self && lp_enters_user_mode(task);
}

/*
 * Lists all threads that exist. The whole process list, because CLONE_VM does not imply
 * CLONE_THREAD.
 */
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

/* Is current the only one that runs on its memory? Nobody can join it but by itself. */
static bool lp_freeze_is_alone(const struct lp_freeze *f)
{
	return f->self && thread_group_empty(f->self) && atomic_read(&f->mm->mm_users) == 1;
}

/**
 * lpatch_freeze_prepare() - list the threads of a target and give each a gate
 * @f: zeroed; end it with lpatch_freeze_finish(), also after an error
 * @mm: the target, with a reference on its users that outlives @f
 *
 * Context: process, a kernel thread or a thread of the target itself, which is not frozen then; nothing
 * is stopped. lp_target.lock held.
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
	smp_mb(); /* see lpatch_freeze_born() */
	lp_freeze_walk(f);
	return READ_ONCE(f->exhausted) ? -EAGAIN : 0;
}

/* Forgets the threads. Gates that are still queued live on until their threads run. */
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
	/* Pairs with the release in lp_freeze_list(): so many entries can be read without the lock. */
	return smp_load_acquire(&f->nr);
}

/*
 * Queues the gates that are not, and leaves out those of threads that run unless @running.
 *
 * In a window, with the mm marked, a gate that is queued already is as good as one that is queued
 * now: if the exchange in lp_gate_run() comes before the look at it here, it is queued again, and
 * if it comes later, the thread finds its mm frozen. So the window touches of a thread that sleeps
 * no more than the gate.
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
 * lpatch_freeze_stage() - queue the gates of the threads that do not run just now
 * @f: prepared
 *
 * Right before lpatch_freeze_begin(), which then has to do so for few. A thread that runs meanwhile
 * passes its gate, which is open.
 */
void lpatch_freeze_stage(struct lp_freeze *f)
{
	lp_freeze_queue(f, false);
}

/*
 * Is there a gate for every thread that can still be born in the window? A thread in the middle of
 * clone() has one child at most before it meets its own gate, and the child meets its gate before
 * it can clone.
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
 * Followed by lpatch_freeze_end() in any case. Between the two the caller must not fault, allocate,
 * sleep or take a lock that a thread of the target may hold.
 *
 * Context: preemption disabled.
 * Return: 0, or -EAGAIN if so many threads were born since the preparation that it has to be made
 * again.
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
	/* Those that run come last: what they get done until then they do unhindered. */
	lp_freeze_queue(f, false);
	lp_freeze_queue(f, true);
	lpatch_freeze_lap(f, &f->times.gate);
	trace_gate(f, f->times.gate);
	lpatch_round_stop(f->mm);
	lpatch_freeze_lap(f, &f->times.barrier);
	trace_barrier(f, f->times.barrier);
	return 0;
}

/* In a window that takes long, between two looks at something: lets others on this CPU, and waits. */
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
 * Does it die, or begin another life with another mm? From there no thread comes back to user mode in this mm. A
 * pending SIGKILL says nothing: get_signal() takes it away before PF_EXITING is set. What says that the group ends
 * may go, too, when its last other thread has: by then the next sign is there, hence the order.
 */
static bool lp_leaves(const struct lp_freeze *f, const struct task_struct *task)
{
	const struct task_struct *exec = READ_ONCE(task->signal->group_exec_task);
	unsigned int flags = READ_ONCE(task->signal->flags);

	if ((exec && exec != task) || (flags & SIGNAL_GROUP_EXIT))
		return true;
	smp_rmb(); /* de_thread() waits for the others with the lock held under which they leave */
	return READ_ONCE(task->mm) != f->mm || (READ_ONCE(task->flags) & PF_EXITING);
}

/* Is every thread that can be on this mm listed? One that was just born runs only when lpatch_freeze_born() is done. */
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
		/* Unless it has executed another program, and another freeze has listed it. */
		all = all && ((gate && gate->freeze == f) || READ_ONCE(t->mm) != f->mm);
		raw_spin_unlock_irqrestore(&lpatch_gate_lock, flags);
	}
	rcu_read_unlock();
	return all;
}

/*
 * What all the rest relies on, and follows from it: no thread can get to user mode. The walk over all threads of the
 * system is for debug kernels.
 */
static bool lp_freeze_holds_all(struct lp_freeze *f)
{
	unsigned int i, nr;
	unsigned long flags;

	/* Under the lock a child that is listed is queued, too. Those that come later do not run before they are. */
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
 * @f: in its window, everything checked
 *
 * Return: 0: everybody stays held until lpatch_freeze_end(), which the caller reaches without anything that could
 * fail. Else nothing may be written: -ETIME if the deadline has passed, -ENOTRECOVERABLE if a thread could run.
 */
int lpatch_freeze_commit(struct lp_freeze *f)
{
	if (!f->window)
		return 0; /* nobody waits */
	if (ktime_get_ns() >= f->deadline || !lpatch_window_commit(f->window))
		return -ETIME;
	/* Not before: a thread that finds the deadline passed lets all others go. */
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
 * lpatch_freeze_end() - release everybody and close the window
 * @f: begun
 * @written: bytes of the target were changed
 *
 * Those are refetched on every CPU before anybody is released; each gate serializes for itself too.
 */
void lpatch_freeze_end(struct lp_freeze *f, bool written)
{
	if (written)
		lpatch_round_sync(f->mm);
	if (f->window)
		lpatch_window_close(f->window);
	lpatch_freeze_lap(f, &f->times.release);
	if (!f->window)
		return; /* nobody was stopped */
	f->times.stop = f->mark - f->began;
	f->times.longest_thread = lp_longest_hold(f, f->mark);
	trace_release(f);
}
