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
 * struct lp_thread - what a freeze knows of one thread
 * @gate: its gate; referenced
 * @switches: nvcsw + nivcsw at the scan that found it clean
 * @clean: that scan was made
 * @found: which of the code that threads may stay in it refers to, as that scan saw, or NULL
 */
struct lp_thread {
	struct lp_gate *gate;
	unsigned long switches;
	bool clean;
	const struct lp_span *found;
};

/**
 * struct lp_freeze - one target, its threads, and a stop window on it
 * @mm: the target; the caller has a reference on its users
 * @pid: of the target's process, for who traces
 * @self: the thread that freezes, if it is one of the target's; it is not in @threads
 * @window: what the threads see of it; NULL if there is none but @self, and none can come while that is
 *	    here: then nobody has to be stopped
 * @threads: every other thread that runs on @mm; grows under lpatch_gate_lock until lpatch_freeze_finish()
 * @nr: how many of them are in use
 * @max: how many there is room for
 * @spare: gates for threads to come
 * @nr_spare: how many are left
 * @exhausted: a thread came for which there was no gate
 * @began: ktime ns of the window's begin
 * @mark: ktime ns of the end of the part that was timed last
 * @deadline: ktime ns when the window ends in any case
 * @relaxed: ktime ns when others were last let on this CPU
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
