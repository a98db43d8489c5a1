/* SPDX-License-Identifier: GPL-2.0 */
#ifndef LPATCH_FREEZE_H
#define LPATCH_FREEZE_H

#include <linux/sched.h>

#include "outcome.h"

struct lp_gate;
struct lp_span;
struct lp_window;
struct mm_struct;

/**
 * struct lp_thread - a thread of a frozen target
 * @gate: its gate; referenced
 * @switches: nvcsw + nivcsw at the scan that found it clean
 * @clean: a scan before the window found that it is not in the way
 * @found: the allowed span to which it refers, as of that scan, or NULL
 */
struct lp_thread {
	struct lp_gate *gate;
	unsigned long switches;
	bool clean;
	const struct lp_span *found;
};

/**
 * struct lp_freeze - one target, its threads, and a stop window on it
 * @mm: the target; the caller holds a reference on mm_users
 * @pid: of the target's process, for tracing
 * @self: the thread that freezes the target, if it is a thread of the target; not in @threads
 * @window: seen by the gates; NULL if @self is the only thread and no other can be created
 *	meanwhile, so that no thread has to be stopped
 * @threads: all other threads that run on @mm; grows under lpatch_gate_lock until
 *	lpatch_freeze_finish()
 * @nr: number of entries in use
 * @max: size of @threads
 * @spare: gates for threads that are created later
 * @nr_spare: number of spare gates left
 * @exhausted: a thread was created when no gate was left
 * @began: ktime ns of the start of the window
 * @mark: ktime ns of the end of the last timed part
 * @deadline: ktime ns when the window ends in any case
 * @relaxed: ktime ns when the CPU was last yielded
 * @times: of the window
 */
struct lp_freeze {
	struct mm_struct *mm;
	pid_t pid;
	struct task_struct *self;
	struct lp_window *window;
	struct lp_thread *threads;
	unsigned int nr;
	unsigned int max;
	struct lp_gate **spare;
	unsigned int nr_spare;
	bool exhausted;
	u64 began;
	u64 mark;
	u64 deadline;
	u64 relaxed;
	struct lp_times times;
};

void lpatch_freeze_born(struct task_struct *task);

int lpatch_freeze_prepare(struct lp_freeze *f, struct mm_struct *mm);
void lpatch_freeze_finish(struct lp_freeze *f);
void lpatch_freeze_stage(struct lp_freeze *f);
int lpatch_freeze_begin(struct lp_freeze *f, u64 max_stop);
unsigned int lpatch_freeze_nr(const struct lp_freeze *f);
void lpatch_freeze_relax(struct lp_freeze *f);
bool lpatch_freeze_expired(const struct lp_freeze *f);
void lpatch_freeze_lap(struct lp_freeze *f, u64 *part);
int lpatch_freeze_commit(struct lp_freeze *f);
void lpatch_freeze_end(struct lp_freeze *f, bool written);

#endif
