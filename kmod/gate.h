/* SPDX-License-Identifier: GPL-2.0 */
#ifndef LPATCH_GATE_H
#define LPATCH_GATE_H

#include <linux/list.h>
#include <linux/sched.h>
#include <linux/spinlock.h>
#include <linux/task_work.h>

struct lp_freeze;

/**
 * struct lp_gate - stops one thread on its way to user mode
 * @work: the task_work that runs it; owned by the task while @queued
 * @node: in the hash of gates by thread; lpatch_gate_lock
 * @task: the thread; referenced
 * @refs: one while queued, one while nudged, one for each freeze that lists it; lpatch_gate_lock
 * @freeze: the freeze that listed it last; lpatch_gate_lock
 * @queued: 1 from before task_work_add() until @work begins to run
 * @inside: @work is running; set before @queued is cleared
 * @nudge: a task_work that only wakes the thread; owned by the task while @nudged
 * @nudged: like @queued, for @nudge
 * @held: the thread is inside the gate and its user registers do not change
 * @held_at: ktime ns when it was held
 *
 * The gate of a thread that sleeps through a window stays queued. A later freeze finds and reuses
 * it.
 */
struct lp_gate {
	struct callback_head work;
	struct hlist_node node;
	struct task_struct *task;
	unsigned int refs;
	struct lp_freeze *freeze;
	atomic_t queued;
	bool inside;
	struct callback_head nudge;
	atomic_t nudged;
	bool held;
	u64 held_at;
};

/*
 * Protects the hash of gates, their refs, and the list of threads of every freeze. A raw spinlock,
 * because the newtask probe cannot sleep.
 */
extern raw_spinlock_t lpatch_gate_lock;

int lpatch_gate_init(void);
void lpatch_gate_exit(void);
struct lp_gate *lpatch_gate_alloc(void);
void lpatch_gate_free(struct lp_gate *gate);
struct lp_gate *lpatch_gate_find(struct task_struct *task);
void lpatch_gate_bind(struct lp_gate *gate, struct task_struct *task);
void lpatch_gate_queue(struct lp_gate *gate);
bool lpatch_gate_bars(const struct lp_gate *gate);
void lpatch_gate_put(struct lp_gate *gate);
unsigned int lpatch_gates_queued(void);
int lpatch_gates_each(long place[2], int (*fn)(struct lp_gate *gate, void *arg), void *arg);
unsigned int lpatch_gates_drain(void);

#endif
