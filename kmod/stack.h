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
 * struct lp_scan - a search through the threads of a target
 * @spans: ranges to search for; threads that refer to allowed ones are counted
 * @active: these threads, once all threads were searched in a window
 * @found: the first allowed span to which the last searched thread refers, or NULL
 * @buf: LP_SCAN_BUF bytes
 * @before: the two words before those in @buf
 * @freeze: in its window user memory must not be faulted in; NULL before the window
 * @until: ktime ns when the search ends in any case
 * @how: how a thread is in the way; after -EBUSY or -EFAULT
 * @tid: that thread
 * @comm: its name
 * @span: the span that it is in or returns to
 * @fault_start: user memory to fault in; after -EFAULT
 * @fault_end: end of that memory
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
