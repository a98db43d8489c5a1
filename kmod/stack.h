/* SPDX-License-Identifier: GPL-2.0 */
#ifndef LPATCH_STACK_H
#define LPATCH_STACK_H

#include <linux/sched.h>
#include <linux/types.h>

#include "uapi/lpatch.h"

struct lp_freeze;
struct lp_span;
struct mm_struct;

/* How a thread is in the way. */
enum lp_busy_how {
	LP_BUSY_IP,
	LP_BUSY_REGISTER,
	LP_BUSY_STACK,
	LP_BUSY_SIGNAL_STACK,
	LP_BUSY_RUNNING,
	LP_BUSY_UNREADABLE,
};

/**
 * struct lp_active - the threads that were let finish in code from before
 * @threads: how many: too many rather than too few, see lp_scan.allowed
 * @tid: the first that was found, or 0 if that is not known
 * @is_patch: it is in the code of a patch
 * @name: of that patch, or of the old function that it is in
 */
struct lp_active {
	u32 threads;
	pid_t tid;
	bool is_patch;
	char name[LPATCH_NAME_MAX + 1];
};

/**
 * struct lp_scan - one search through the threads of a target
 * @spans: addresses to look for that nobody may refer to, sorted and disjoint
 * @nr_spans: how many there are
 * @allowed: others, sorted and disjoint, of which it is counted who refers to them
 * @nr_allowed: how many there are
 * @active: who does, when all threads of a window were searched
 * @found: which of @allowed the thread refers to that was searched last, or NULL
 * @buf: LP_SCAN_BUF bytes
 * @before: the two words before those in @buf
 * @freeze: in the window of which user memory must not be faulted in, or NULL before it
 * @until: ktime ns when the search ends in any case
 * @how: how the thread that is in the way, after -EBUSY or -EFAULT, is so
 * @tid: that thread
 * @comm: its name
 * @span: where it is, or returns to
 * @fault_start: user memory to fault in, after -EFAULT
 * @fault_end: where that ends
 */
struct lp_scan {
	const struct lp_span *spans;
	unsigned int nr_spans;
	const struct lp_span *allowed;
	unsigned int nr_allowed;
	struct lp_active active;
	const struct lp_span *found;
	unsigned long *buf;
	unsigned long before[2];
	struct lp_freeze *freeze;
	u64 until;
	enum lp_busy_how how;
	pid_t tid;
	char comm[TASK_COMM_LEN];
	const struct lp_span *span;
	unsigned long fault_start;
	unsigned long fault_end;
};

#define LP_SCAN_BUF PAGE_SIZE

int lp_stack_busy(struct lp_scan *s, struct task_struct *task, enum lp_busy_how how,
		  const struct lp_span *span);
int lp_stack_scan(struct lp_scan *s, struct mm_struct *mm, struct task_struct *task, bool preempted);

#endif
