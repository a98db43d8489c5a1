/* SPDX-License-Identifier: GPL-2.0 */
#ifndef LPATCH_WINDOW_H
#define LPATCH_WINDOW_H

#include <linux/atomic.h>
#include <linux/rcupdate.h>
#include <linux/refcount.h>
#include <linux/swait.h>
#include <linux/types.h>

struct lp_freeze;
struct lp_gate;
struct mm_struct;

enum lp_window_state {
	LP_OPEN,	/* nobody is held */
	LP_FREEZING,	/* held until the end, the deadline, or the commit */
	LP_COMMITTED,	/* held until the end */
	LP_EXPIRED,	/* the deadline passed first */
};

/**
 * struct lp_window - the part of a freeze that gates and newtask access
 * @node: in the hash by mm, from prepare to finish; lpatch_gate_lock, or RCU to read it
 * @rcu: for kfree_rcu()
 * @refs: held by the freeze and by each held thread
 * @mm: whose threads are held; compared only
 * @freeze: to list threads in; lpatch_gate_lock; valid only while in the hash
 * @state: leaves LP_FREEZING by compare-and-exchange, so that either the freezer commits or a
 *	thread expires it, never both
 * @deadline: ktime ns; written before @state becomes LP_FREEZING
 * @wait: of held threads; a simple wait queue with a raw lock, since they are woken with preemption
 *	disabled
 */
struct lp_window {
	struct hlist_node node;
	struct rcu_head rcu;
	refcount_t refs;
	const struct mm_struct *mm;
	struct lp_freeze *freeze;
	atomic_t state;
	u64 deadline;
	struct swait_queue_head wait;
};

struct lp_window *lpatch_window_new(const struct mm_struct *mm, struct lp_freeze *freeze);
void lpatch_window_put(struct lp_window *w);
void lpatch_window_add(struct lp_window *w);
void lpatch_window_del(struct lp_window *w);
struct lp_window *lpatch_window_find(const struct mm_struct *mm);
bool lpatch_window_holds(const struct lp_window *w);
void lpatch_window_open(struct lp_window *w, u64 deadline);
bool lpatch_window_commit(struct lp_window *w);
void lpatch_window_close(struct lp_window *w);
void lpatch_window_wait(struct lp_gate *gate);

#endif
