// SPDX-License-Identifier: GPL-2.0
/*
 * Freezing a target:
 *
 *   prepare: list every thread on the mm and give each a gate; from here on newtask adds those to
 *	come
 *   lock: one window at a time in the system, and nothing preempts this thread from here on
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
 * The deadline does not depend on the freezer being scheduled: a held thread that finds it passed
 * before the commit ends the freeze itself.
 *
 * lp_freeze_lock() covers lp_frozen. It is taken before the mmap_lock of the target, so that nobody
 * waits for another target's window with that lock held. Preparation of several targets may overlap.
 */

#include <linux/jiffies.h>
#include <linux/ktime.h>
#include <linux/mm_types.h>
#include <linux/rcupdate.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/sched/task.h>
#include <linux/slab.h>
#include <linux/tracepoint.h>
#include <linux/wait.h>

#include "compat.h"
#include "freeze.h"
#include "gate.h"
#include "round.h"
#include "trace.h"

/*
 * How long a held thread spins before it sleeps, unless somebody else wants its CPU: longer than a
 * usual window, of hundreds of threads too. What sleeps has to be woken at the end, by the window,
 * which a thread that has just gone to sleep makes a third longer.
 */
#define LP_SPIN_NS (250 * NSEC_PER_USEC)

/* Threads that may be created while a target is prepared, beyond as many as it has. */
#define LP_SPARE_GATES 64

enum lp_frozen_state {
	LP_OPEN, /* nobody is held */
	LP_FREEZING, /* threads are held, nothing is written */
	LP_COMMITTED, /* being written: held whatever the time */
	LP_EXPIRED, /* the deadline passed before the commit: nobody is held */
};

/*
 * The window. mm is written by the freezer, in its turn, and read by gates and by newtask
 * without a lock. state leaves LP_FREEZING by compare-and-exchange, so that either the freezer
 * commits or a thread expires it, never both.
 */
static struct {
	struct mm_struct *mm;
	atomic_t state;
	u64 deadline;
	wait_queue_head_t wait;
} lp_frozen = {
	.state = ATOMIC_INIT(LP_OPEN),
	.wait = __WAIT_QUEUE_HEAD_INITIALIZER(lp_frozen.wait),
};

/*
 * Freezes between prepare and finish; lp_gate_lock. The counter lets newtask return at once in the
 * usual case.
 */
static LIST_HEAD(lp_freezes);
static atomic_t lp_nr_freezes = ATOMIC_INIT(0);

static struct tracepoint *lp_newtask;

static bool lp_frozen_holds(const struct mm_struct *mm)
{
	int state;

	if (READ_ONCE(lp_frozen.mm) != mm)
		return false;
	state = atomic_read(&lp_frozen.state);
	return state == LP_FREEZING || state == LP_COMMITTED;
}

static void lp_frozen_expire(void)
{
	if (atomic_cmpxchg(&lp_frozen.state, LP_FREEZING, LP_EXPIRED) == LP_FREEZING)
		wake_up_all(&lp_frozen.wait);
}

static void lp_frozen_sleep(const struct mm_struct *mm)
{
	while (lp_frozen_holds(mm)) {
		u64 deadline = READ_ONCE(lp_frozen.deadline);
		u64 now = ktime_get_ns();
		long left = 1; /* once committed, a jiffy at a time */

		if (now < deadline)
			left += nsecs_to_jiffies(deadline - now);
		else
			lp_frozen_expire();
		/* Killable: SIGKILL of a frozen process works at once. */
		if (wait_event_killable_timeout(lp_frozen.wait, !lp_frozen_holds(mm), left) < 0)
			return;
	}
}

/**
 * lp_freeze_hold() - the part of a gate that stops the thread
 * @gate: the gate of current
 *
 * Returns at once when the thread's mm is not frozen (any more), and for a thread that is exiting:
 * it does not come back to user mode, and others may wait for its end.
 */
void lp_freeze_hold(struct lp_gate *gate)
{
	struct mm_struct *mm = current->mm;
	u64 now;

	if ((current->flags & PF_EXITING) || !mm || !lp_frozen_holds(mm))
		return;
	now = ktime_get_ns();
	WRITE_ONCE(gate->held_at, now);
	/*
	 * Everything that this thread wrote to its registers and stack is visible to who sees held:
	 * lp_thread_held().
	 */
	smp_store_release(&gate->held, true);
	while (lp_frozen_holds(mm) && !need_resched() && ktime_get_ns() - now < LP_SPIN_NS)
		cpu_relax();
	lp_frozen_sleep(mm);
	WRITE_ONCE(gate->held, false);
}

/* Lists @task unless it is. Returns its gate, or NULL if there is no spare one. */
static struct lp_gate *lp_freeze_list(struct lp_freeze *f, struct task_struct *task)
{
	struct lp_gate *gate = lp_gate_find(task);

	lockdep_assert_held(&lp_gate_lock);
	if (gate && gate->freeze == f)
		return gate;
	if (f->nr == f->max || !f->nr_spare) {
		WRITE_ONCE(f->exhausted, true);
		return NULL;
	}
	if (!gate) {
		gate = f->spare[--f->nr_spare];
		lp_gate_bind(gate, task);
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

/*
 * Called in copy_process() after the child is on the list of threads and before it runs for the
 * first time, with preemption disabled.
 */
static void lp_newtask_probe(void *unused, struct task_struct *task, unsigned long clone_flags)
{
	struct lp_gate *gate;
	struct lp_freeze *f;
	unsigned long flags;

	/*
	 * Orders the insertion of the child into the thread list before the look at the counter.
	 * Partner: smp_mb() in lp_freeze_prepare(). Either the walk there finds the child, or this
	 * finds the freeze.
	 */
	smp_mb();
	if (likely(!atomic_read(&lp_nr_freezes)) || !task->mm || !lp_enters_user_mode(task))
		return;
	raw_spin_lock_irqsave(&lp_gate_lock, flags);
	list_for_each_entry(f, &lp_freezes, node) {
		if (f->mm != task->mm)
			continue;
		gate = lp_freeze_list(f, task);
		/*
		 * Partner: smp_mb() in lp_freeze_begin(). Either the freezer finds the child in its
		 * list, or this finds the mm frozen.
		 */
		smp_mb();
		if (gate && READ_ONCE(lp_frozen.mm) == task->mm)
			lp_gate_queue(gate);
		break;
	}
	raw_spin_unlock_irqrestore(&lp_gate_lock, flags);
}

static void lp_find_newtask(struct tracepoint *tp, void *unused)
{
	if (!strcmp(tp->name, "task_newtask"))
		lp_newtask = tp;
}

int __init lp_freeze_init(void)
{
	for_each_kernel_tracepoint(lp_find_newtask, NULL);
	if (!lp_newtask) {
		pr_err("lpatch: this kernel has no tracepoint task_newtask; it needs CONFIG_TRACEPOINTS=y\n");
		return -ENOENT;
	}
	return tracepoint_probe_register(lp_newtask, lp_newtask_probe, NULL);
}

void lp_freeze_exit(void)
{
	tracepoint_probe_unregister(lp_newtask, lp_newtask_probe, NULL);
	tracepoint_synchronize_unregister();
}

static int lp_freeze_alloc(struct lp_freeze *f, unsigned int threads)
{
	f->max = 3 * threads + LP_SPARE_GATES;
	f->threads = kvmalloc_array(f->max, sizeof(*f->threads), GFP_KERNEL);
	f->spare = kvmalloc_array(f->max, sizeof(*f->spare), GFP_KERNEL);
	if (!f->threads || !f->spare)
		return -ENOMEM;
	while (f->nr_spare < f->max) {
		struct lp_gate *gate = lp_gate_alloc();

		if (!gate)
			return -ENOMEM;
		f->spare[f->nr_spare++] = gate;
	}
	return 0;
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
		if (READ_ONCE(t->mm) != f->mm || !lp_enters_user_mode(t))
			continue;
		raw_spin_lock_irqsave(&lp_gate_lock, flags);
		lp_freeze_list(f, t);
		raw_spin_unlock_irqrestore(&lp_gate_lock, flags);
	}
	rcu_read_unlock();
}

/**
 * lp_freeze_prepare() - list the threads of a target and give each a gate
 * @f: zeroed; end it with lp_freeze_finish(), also after an error
 * @mm: the target, with a reference on its users that outlives @f
 *
 * Context: process; nothing is stopped.
 * Return: 0, -ENOMEM, or -EAGAIN if threads were created faster than they could be listed.
 */
int lp_freeze_prepare(struct lp_freeze *f, struct mm_struct *mm)
{
	unsigned long flags;
	int ret;

	INIT_LIST_HEAD(&f->node);
	f->mm = mm;
	ret = lp_freeze_alloc(f, atomic_read(&mm->mm_users));
	if (ret)
		return ret;
	raw_spin_lock_irqsave(&lp_gate_lock, flags);
	list_add(&f->node, &lp_freezes);
	raw_spin_unlock_irqrestore(&lp_gate_lock, flags);
	atomic_inc(&lp_nr_freezes);
	smp_mb(); /* see lp_newtask_probe() */
	lp_freeze_walk(f);
	return READ_ONCE(f->exhausted) ? -EAGAIN : 0;
}

/* Forgets the threads. Gates that are still queued live on until their threads run. */
void lp_freeze_finish(struct lp_freeze *f)
{
	unsigned long flags;
	unsigned int i;

	if (!list_empty(&f->node)) {
		raw_spin_lock_irqsave(&lp_gate_lock, flags);
		list_del_init(&f->node);
		for (i = 0; i < f->nr; i++)
			if (f->threads[i].gate->freeze == f)
				f->threads[i].gate->freeze = NULL;
		raw_spin_unlock_irqrestore(&lp_gate_lock, flags);
		atomic_dec(&lp_nr_freezes);
	}
	for (i = 0; i < f->nr; i++)
		lp_gate_put(f->threads[i].gate);
	while (f->nr_spare)
		lp_gate_free(f->spare[--f->nr_spare]);
	kvfree(f->threads);
	kvfree(f->spare);
	f->threads = NULL;
	f->spare = NULL;
	f->nr = 0;
}

unsigned int lp_freeze_nr(const struct lp_freeze *f)
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

	for (i = 0; i < lp_freeze_nr(f); i++) {
		struct lp_gate *gate = f->threads[i].gate;

		if (atomic_read(&gate->queued) || (!running && READ_ONCE(gate->task->on_cpu)))
			continue;
		raw_spin_lock_irqsave(&lp_gate_lock, flags);
		lp_gate_queue(gate);
		raw_spin_unlock_irqrestore(&lp_gate_lock, flags);
	}
}

/**
 * lp_freeze_stage() - queue the gates of the threads that do not run just now
 * @f: prepared
 *
 * Right before lp_freeze_begin(), which then has to do so for few. A thread that runs meanwhile
 * passes its gate, which is open.
 *
 * Context: between lp_freeze_lock() and lp_freeze_unlock().
 */
void lp_freeze_stage(struct lp_freeze *f)
{
	lp_freeze_assert_locked();
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

	raw_spin_lock_irqsave(&lp_gate_lock, flags);
	enough = !f->exhausted && f->nr_spare >= f->nr && f->max - f->nr >= f->nr;
	raw_spin_unlock_irqrestore(&lp_gate_lock, flags);
	return enough;
}

/* Adds the time since the last call to @part. */
void lp_freeze_lap(struct lp_freeze *f, u64 *part)
{
	u64 now = ktime_get_ns();

	*part += now - f->mark;
	f->mark = now;
}

/**
 * lp_freeze_begin() - open the stop window
 * @f: prepared
 * @max_stop: ns from now after which nothing is written any more
 *
 * Followed by lp_freeze_end() in any case. Between the two the caller must not fault, allocate,
 * wait for I/O or take a lock that a thread of the target may hold.
 *
 * Context: a kthread between lp_freeze_lock() and lp_freeze_unlock().
 * Return: 0, or -EAGAIN if so many threads were born since the preparation that it has to be made
 * again.
 */
int lp_freeze_begin(struct lp_freeze *f, u64 max_stop)
{
	unsigned int i;

	lp_freeze_assert_locked();
	for (i = 0; i < lp_freeze_nr(f); i++)
		WRITE_ONCE(f->threads[i].gate->held_at, 0);
	f->times = (struct lp_times){};
	f->began = ktime_get_ns();
	f->mark = f->began;
	f->deadline = f->began + max_stop;
	WRITE_ONCE(lp_frozen.deadline, f->deadline);
	atomic_set(&lp_frozen.state, LP_FREEZING);
	/* The deadline and the state before the mm: lp_frozen_holds() reads them in that order. */
	smp_store_release(&lp_frozen.mm, f->mm);
	smp_mb(); /* see lp_gate_run(), lp_freeze_queue() and lp_newtask_probe() */
	if (!lp_freeze_has_spare(f))
		return -EAGAIN;
	/* Those that run come last: what they get done until then they do unhindered. */
	lp_freeze_queue(f, false);
	lp_freeze_queue(f, true);
	lp_freeze_lap(f, &f->times.gate);
	trace_gate(f, f->times.gate);
	if (!f->alone)
		lp_round_stop(f->mm);
	lp_freeze_lap(f, &f->times.barrier);
	trace_barrier(f, f->times.barrier);
	return 0;
}

bool lp_freeze_expired(const struct lp_freeze *f)
{
	return atomic_read(&lp_frozen.state) != LP_FREEZING || ktime_get_ns() >= f->deadline;
}

/**
 * lp_freeze_commit() - decide to write
 * @f: in its window, everything checked
 *
 * Return: false if the deadline has passed: nothing may be written. If true, everybody stays held
 * until lp_freeze_end(), which the caller reaches without anything that could fail.
 */
bool lp_freeze_commit(struct lp_freeze *f)
{
	return ktime_get_ns() < f->deadline &&
	       atomic_cmpxchg(&lp_frozen.state, LP_FREEZING, LP_COMMITTED) == LP_FREEZING;
}

static u64 lp_longest_hold(const struct lp_freeze *f, u64 released)
{
	u64 longest = 0;
	unsigned int i;

	for (i = 0; i < lp_freeze_nr(f); i++) {
		u64 at = READ_ONCE(f->threads[i].gate->held_at);

		if (at && at < released)
			longest = max(longest, released - at);
	}
	return longest;
}

/* Releases everybody and closes the window. */
void lp_freeze_end(struct lp_freeze *f)
{
	/*
	 * What was written is refetched on every CPU before anybody is released; each gate
	 * serializes for itself too.
	 */
	if (!f->alone && atomic_read(&lp_frozen.state) == LP_COMMITTED)
		lp_round_sync(f->mm);
	WRITE_ONCE(lp_frozen.mm, NULL);
	atomic_set(&lp_frozen.state, LP_OPEN);
	wake_up_all(&lp_frozen.wait);
	lp_freeze_lap(f, &f->times.release);
	f->times.stop = f->mark - f->began;
	f->times.longest_thread = lp_longest_hold(f, f->mark);
	trace_release(f);
}
