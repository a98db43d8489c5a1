// SPDX-License-Identifier: GPL-2.0
/*
 * A window holds the threads of one target. It is found by the mm, and freed when neither the
 * freeze nor a held thread references it any more.
 */

#include <linux/hashtable.h>
#include <linux/jiffies.h>
#include <linux/ktime.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include "gate.h"
#include "window.h"

/*
 * How long a held thread spins before it sleeps, unless another task wants its CPU. This is longer
 * than a usual window, even with hundreds of threads. The freezer has to wake each sleeping thread
 * at the end, and the wake-up of a thread that has just gone to sleep makes the window a third
 * longer.
 */
#define LP_SPIN_NS (250 * NSEC_PER_USEC)

static DEFINE_HASHTABLE(lp_windows, 8);

/**
 * lpatch_window_new() - allocate a window that is not open and not in the hash
 * @mm: of the target
 * @freeze: the freeze that owns it
 *
 * Return: the window, referenced, or NULL if out of memory.
 */
struct lp_window *lpatch_window_new(const struct mm_struct *mm, struct lp_freeze *freeze)
{
	struct lp_window *w = kzalloc(sizeof(*w), GFP_KERNEL_ACCOUNT);

	if (!w)
		return NULL;
	refcount_set(&w->refs, 1);
	w->mm = mm;
	w->freeze = freeze;
	init_swait_queue_head(&w->wait);
	return w;
}

/* Makes a window visible to gates and newtask. */
void lpatch_window_add(struct lp_window *w)
{
	lockdep_assert_held(&lpatch_gate_lock);
	hash_add_rcu(lp_windows, &w->node, (unsigned long)w->mm);
}

void lpatch_window_del(struct lp_window *w)
{
	lockdep_assert_held(&lpatch_gate_lock);
	hash_del_rcu(&w->node);
}

/*
 * Opens the window: from here on a thread that runs its gate is held. The smp_mb() pairs with the
 * exchange in lp_gate_run() and with the second smp_mb() in lpatch_freeze_born(); see
 * lpatch_freeze_begin().
 */
void lpatch_window_open(struct lp_window *w, u64 deadline)
{
	WRITE_ONCE(w->deadline, deadline);
	atomic_set_release(&w->state, LP_FREEZING); /* see lpatch_window_holds() */
	smp_mb();
}

/* Commits. Return: false if a held thread has seen the deadline pass. */
bool lpatch_window_commit(struct lp_window *w)
{
	return atomic_cmpxchg(&w->state, LP_FREEZING, LP_COMMITTED) == LP_FREEZING;
}

/* Releases all held threads. Context: preemption may be disabled. */
void lpatch_window_close(struct lp_window *w)
{
	atomic_set(&w->state, LP_OPEN);
	swake_up_all(&w->wait);
}

/* Under RCU or lpatch_gate_lock. */
struct lp_window *lpatch_window_find(const struct mm_struct *mm)
{
	struct lp_window *w;

	hash_for_each_possible_rcu(lp_windows, w, node, (unsigned long)mm,
				   lockdep_is_held(&lpatch_gate_lock))
		if (w->mm == mm)
			return w;
	return NULL;
}

bool lpatch_window_holds(const struct lp_window *w)
{
	/* Pairs with the release in lpatch_window_open(): the deadline is that of this window. */
	int state = atomic_read_acquire(&w->state);

	return state == LP_FREEZING || state == LP_COMMITTED;
}

/* Return: the window that holds the threads of @mm, referenced, or NULL. */
static struct lp_window *lp_window_get(const struct mm_struct *mm)
{
	struct lp_window *w;

	rcu_read_lock();
	w = lpatch_window_find(mm);
	if (w && (!lpatch_window_holds(w) || !refcount_inc_not_zero(&w->refs)))
		w = NULL;
	rcu_read_unlock();
	return w;
}

void lpatch_window_put(struct lp_window *w)
{
	if (refcount_dec_and_test(&w->refs))
		kfree_rcu(w, rcu);
}

static void lp_window_expire(struct lp_window *w)
{
	if (atomic_cmpxchg(&w->state, LP_FREEZING, LP_EXPIRED) == LP_FREEZING)
		swake_up_all(&w->wait);
}

static void lp_window_sleep(struct lp_window *w)
{
	DECLARE_SWAITQUEUE(wait);

	/* Killable, so that SIGKILL of a frozen process takes effect at once. */
	while (lpatch_window_holds(w) && !fatal_signal_pending(current)) {
		u64 deadline = READ_ONCE(w->deadline);
		u64 now = ktime_get_ns();
		long left = 1; /* once committed, a jiffy at a time */

		if (now < deadline)
			left += nsecs_to_jiffies(deadline - now);
		else
			lp_window_expire(w);
		prepare_to_swait_exclusive(&w->wait, &wait, TASK_KILLABLE);
		if (lpatch_window_holds(w) && !fatal_signal_pending(current))
			schedule_timeout(left);
		finish_swait(&w->wait, &wait);
	}
}

/**
 * lpatch_window_wait() - the part of a gate that holds the thread
 * @gate: the gate of current
 *
 * Returns at once if the thread's mm is not frozen, or if the thread is exiting: it does not return
 * to user mode, and others may wait for it to exit.
 */
void lpatch_window_wait(struct lp_gate *gate)
{
	struct mm_struct *mm = current->mm;
	struct lp_window *w;
	u64 now;

	if ((current->flags & PF_EXITING) || !mm)
		return;
	w = lp_window_get(mm);
	if (!w)
		return;
	now = ktime_get_ns();
	WRITE_ONCE(gate->held_at, now);
	/*
	 * Makes the thread's registers and stack visible before held. Pairs with the acquire in
	 * lp_thread_held().
	 */
	smp_store_release(&gate->held, true);
	while (lpatch_window_holds(w) && !need_resched() && ktime_get_ns() - now < LP_SPIN_NS)
		cpu_relax();
	lp_window_sleep(w);
	WRITE_ONCE(gate->held, false);
	lpatch_window_put(w);
}
