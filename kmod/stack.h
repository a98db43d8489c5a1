/* SPDX-License-Identifier: GPL-2.0 */
#ifndef LPATCH_STACK_H
#define LPATCH_STACK_H

#include <linux/sched.h>
#include <linux/types.h>

#include "outcome.h"
#include "span.h"

struct lp_freeze;
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
 * struct lp_scan - one search through the threads of a target
 * @spans: addresses to look for; of those that are allowed it is counted who refers to them
 * @active: who does, when all threads of a window were searched
 * @found: which of the allowed ones the thread refers to that was searched last, or NULL
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
	struct lp_spans spans;
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

int lpatch_stack_busy(struct lp_scan *s, struct task_struct *task, enum lp_busy_how how,
		      const struct lp_span *span);
int lpatch_stack_scan(struct lp_scan *s, struct mm_struct *mm, struct task_struct *task, bool preempted);

#endif
