// SPDX-License-Identifier: GPL-2.0
/*
 * Gates: one task_work per thread, queued with TWA_RESUME. This wakes no thread and interrupts no
 * system call, yet the thread cannot return to user mode without running it.
 *
 * Lifetime: the gate of a thread is in the hash as long as it is queued or listed by a freeze. A
 * queued gate holds a reference on the module. lp_gate_run() drops it before its last instructions;
 * lpatch_gate_exit() waits for those with synchronize_rcu_tasks(), which returns when every thread
 * has switched context voluntarily or been in user mode.
 */

#include <linux/hashtable.h>
#include <linux/module.h>
#include <linux/rcupdate.h>
#include <linux/sched/task.h>
#include <linux/slab.h>

#include "arch.h"
#include "compat.h"
#include "gate.h"
#include "window.h"

#define LP_GATE_HASH_BITS 10

DEFINE_RAW_SPINLOCK(lpatch_gate_lock);
static DEFINE_HASHTABLE(lp_gates, LP_GATE_HASH_BITS);
static atomic_t lp_nr_queued = ATOMIC_INIT(0);
static struct kmem_cache *lp_gate_cache;

int __init lpatch_gate_init(void)
{
	lp_gate_cache = KMEM_CACHE(lp_gate, SLAB_ACCOUNT);
	return lp_gate_cache ? 0 : -ENOMEM;
}

void lpatch_gate_exit(void)
{
	synchronize_rcu_tasks();
	kmem_cache_destroy(lp_gate_cache);
}

/* May sleep. */
struct lp_gate *lpatch_gate_alloc(void)
{
	return kmem_cache_zalloc(lp_gate_cache, GFP_KERNEL);
}

/* Frees a gate that was never bound to a thread. */
void lpatch_gate_free(struct lp_gate *gate)
{
	kmem_cache_free(lp_gate_cache, gate);
}

unsigned int lpatch_gates_queued(void)
{
	return atomic_read(&lp_nr_queued);
}

struct lp_gate *lpatch_gate_find(struct task_struct *task)
{
	struct lp_gate *gate;

	lockdep_assert_held(&lpatch_gate_lock);
	hash_for_each_possible(lp_gates, gate, node, (unsigned long)task)
		if (gate->task == task)
			return gate;
	return NULL;
}

/* Binds a new gate to @task. The gate has no reference yet. */
void lpatch_gate_bind(struct lp_gate *gate, struct task_struct *task)
{
	lockdep_assert_held(&lpatch_gate_lock);
	gate->task = get_task_struct(task);
	hash_add(lp_gates, &gate->node, (unsigned long)task);
}

/**
 * lpatch_gate_put() - drop a reference; the last one frees the gate
 * @gate: a bound gate
 *
 * Context: process; may free the thread's task_struct.
 */
void lpatch_gate_put(struct lp_gate *gate)
{
	unsigned long flags;
	bool last;

	raw_spin_lock_irqsave(&lpatch_gate_lock, flags);
	last = --gate->refs == 0;
	if (last)
		hash_del(&gate->node);
	raw_spin_unlock_irqrestore(&lpatch_gate_lock, flags);
	if (!last)
		return;
	put_task_struct(gate->task);
	lpatch_gate_free(gate);
}

/* Runs in the thread, on its way to user mode, in get_signal(), or in exit_task_work(). */
static void lp_gate_run(struct callback_head *work)
{
	struct lp_gate *gate = container_of(work, struct lp_gate, work);

	/* Set before the exchange: see lpatch_gate_bars(). */
	WRITE_ONCE(gate->inside, true);
	/*
	 * A full barrier before lpatch_window_wait() reads the state of the freeze. Pairs with the
	 * barrier in lpatch_window_open(), between marking the mm frozen and the exchange in
	 * lpatch_gate_queue(). Either the freezer finds queued == 0 and queues the gate again, or
	 * the thread finds its mm frozen.
	 */
	atomic_xchg(&gate->queued, 0);
	lpatch_window_wait(gate);
	/*
	 * SYSRET does not serialize. Without this the thread might execute stale bytes that it
	 * fetched before the write.
	 */
	lpatch_arch_sync_core();
	WRITE_ONCE(gate->inside, false);
	lpatch_gate_put(gate);
	atomic_dec(&lp_nr_queued);
	module_put(THIS_MODULE);
}

/**
 * lpatch_gate_queue() - make the thread run its gate before its next user instruction
 * @gate: a bound gate that a freeze lists
 *
 * If the thread is in user mode on another CPU right now, this takes effect only after a
 * synchronous IPI. An exiting thread gets no gate: it never returns to user mode.
 *
 * Context: lpatch_gate_lock held, so that the freeze cannot drop the gate meanwhile.
 */
void lpatch_gate_queue(struct lp_gate *gate)
{
	lockdep_assert_held(&lpatch_gate_lock);
	if (atomic_xchg(&gate->queued, 1))
		return;
	init_task_work(&gate->work, lp_gate_run);
	if (lpatch_task_work_add(gate->task, &gate->work, TWA_RESUME | LP_TWA_NO_ALLOC)) {
		atomic_set(&gate->queued, 0);
		return;
	}
	/*
	 * The work may run on another CPU at once, but drops the reference only under the lock. The
	 * same goes for the module and the count, which it drops later.
	 */
	__module_get(THIS_MODULE);
	gate->refs++;
	atomic_inc(&lp_nr_queued);
}

/*
 * In a window: is the thread inside its gate, or will it run the gate before its next user
 * instruction?
 */
bool lpatch_gate_bars(const struct lp_gate *gate)
{
	/*
	 * Pairs with the exchange in lp_gate_run(): if the gate is seen not queued, it is seen
	 * inside.
	 */
	return atomic_read_acquire(&gate->queued) || READ_ONCE(gate->inside);
}

/*
 * Calls @fn for the queued gates of one bucket, starting with gate number *@from, and advances
 * *@from.
 */
static int lp_gates_each_in(unsigned int bucket, long *from,
			    int (*fn)(struct lp_gate *gate, void *arg), void *arg)
{
	struct lp_gate *gate;
	unsigned long flags;
	long i = 0;
	int ret = 0;

	raw_spin_lock_irqsave(&lpatch_gate_lock, flags);
	hlist_for_each_entry(gate, &lp_gates[bucket], node) {
		if (i++ < *from || !atomic_read(&gate->queued))
			continue;
		ret = fn(gate, arg);
		if (ret)
			break;
		*from = i;
	}
	raw_spin_unlock_irqrestore(&lpatch_gate_lock, flags);
	return ret;
}

/**
 * lpatch_gates_each() - call a function for each gate that is queued
 * @place: bucket of the hash and number of gates in it that are done; zeroed for the first call,
 *	set to where to continue if @fn stops the walk
 * @fn: called with lpatch_gate_lock held; a nonzero return value stops the walk
 * @arg: passed to @fn
 *
 * Gates that are queued or run during the walk may be missed or found twice.
 *
 * Context: process; may sleep.
 * Return: the last return value of @fn.
 */
int lpatch_gates_each(long place[2], int (*fn)(struct lp_gate *gate, void *arg), void *arg)
{
	int ret;

	for (; place[0] < HASH_SIZE(lp_gates); place[0]++, place[1] = 0) {
		ret = lp_gates_each_in(place[0], &place[1], fn, arg);
		if (ret)
			return ret;
		cond_resched();
	}
	return 0;
}

/*
 * Runs in the thread, before or after its gate. Its last instructions run without a reference on
 * the module as well: see lpatch_gate_exit().
 */
static void lp_gate_nudged(struct callback_head *work)
{
	struct lp_gate *gate = container_of(work, struct lp_gate, nudge);

	atomic_set(&gate->nudged, 0);
	lpatch_gate_put(gate);
	module_put(THIS_MODULE);
}

/*
 * The gate's own work is queued already and its notification mode cannot be changed. A second work
 * with TWA_SIGNAL makes the thread run both. If the thread is held in a window meanwhile, its gate
 * holds it, and TIF_NOTIFY_SIGNAL, which is not a fatal signal, does not release it.
 */
static int lp_gate_nudge(struct lp_gate *gate, void *arg)
{
	unsigned int *woken = arg;

	if (atomic_xchg(&gate->nudged, 1))
		return 0;
	init_task_work(&gate->nudge, lp_gate_nudged);
	if (lpatch_task_work_add(gate->task, &gate->nudge, TWA_SIGNAL | LP_TWA_NO_ALLOC)) {
		atomic_set(&gate->nudged, 0); /* it is exiting, and runs its gate on the way */
		return 0;
	}
	/* As in lpatch_gate_queue(): the work drops its reference only under the lock. */
	__module_get(THIS_MODULE);
	gate->refs++;
	(*woken)++;
	return 0;
}

/**
 * lpatch_gates_drain() - wake the threads that have a gate queued
 *
 * This is the only function of the module that interrupts the sleep of a thread: a system call that
 * cannot be restarted returns -EINTR. It does not wait for the threads.
 *
 * Context: process; may sleep.
 * Return: number of threads woken.
 */
unsigned int lpatch_gates_drain(void)
{
	unsigned int woken = 0;
	long place[2] = {};

	lpatch_gates_each(place, lp_gate_nudge, &woken);
	return woken;
}
