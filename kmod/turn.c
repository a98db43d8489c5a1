// SPDX-License-Identifier: GPL-2.0
/* Whose turn it is to open windows, and that nothing else gets the CPU meanwhile. */

#include <linux/minmax.h>
#include <linux/mutex.h>
#include <linux/sched.h>
#include <linux/time64.h>
#include <uapi/linux/sched/types.h>

#include "freeze.h"

/*
 * What a turn may need beyond its window: to pin the pages before, to write and to release after,
 * with much room to spare.
 */
#define LP_TURN_MORE_NS (500ULL * NSEC_PER_MSEC)

/* Twice that is the longest period that the scheduler takes (sched_deadline_period_max_us). */
#define LP_TURN_MOST_NS (2000ULL * NSEC_PER_MSEC)

static DEFINE_MUTEX(lp_turn);

/*
 * Each wake-up could preempt a normal thread in the middle of the window (lazy preemption), for
 * seconds. A SCHED_FIFO thread of a kernel module has priority 50: real-time threads above that,
 * which the window releases, could keep it from giving back the mmap_lock for ever. So this thread
 * is of the deadline class, that comes before all of them, for as long as it has its turn.
 *
 * A thread of that class has to make do with its runtime in each period, and waits for the next one
 * when it has used it up. Between the commit and the release that would be a longer stop than was
 * allowed, so the runtime covers all of a turn, unless somebody allows more than a second and a half.
 * Half of the period is few enough that deadline tasks that are there already leave it that much.
 */
static void lp_turn_take_precedence(u64 max_stop)
{
	const u64 runtime = min(LP_TURN_MORE_NS + max_stop, LP_TURN_MOST_NS);
	const struct sched_attr attr = {
		.size = sizeof(attr),
		.sched_policy = SCHED_DEADLINE,
		.sched_runtime = runtime,
		.sched_deadline = 2 * runtime,
		.sched_period = 2 * runtime,
	};

	/* Refused if deadline tasks have the time of all CPUs already. */
	if (sched_setattr_nocheck(current, &attr))
		sched_set_fifo(current);
}

/**
 * lp_freeze_lock() - wait for the turn of this kthread to open windows
 * @max_stop: ns, the longest that a window of it may be open
 *
 * lp_freeze_unlock() ends it.
 */
void lp_freeze_lock(u64 max_stop)
{
	mutex_lock(&lp_turn);
	lp_turn_take_precedence(max_stop);
}

void lp_freeze_unlock(void)
{
	/* In this order, or the next one would wait for this thread to be scheduled as a normal one. */
	mutex_unlock(&lp_turn);
	sched_set_normal(current, 0);
}

void lp_freeze_assert_locked(void)
{
	lockdep_assert_held(&lp_turn);
}
