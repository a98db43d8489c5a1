// SPDX-License-Identifier: GPL-2.0
/* Whose turn it is to open windows, and that nothing else gets the CPU meanwhile. */

#include <linux/mutex.h>
#include <linux/sched.h>
#include <linux/time64.h>
#include <uapi/linux/sched/types.h>

#include "freeze.h"

/*
 * Enough for the pages to be pinned and for a window of the usual limit, with room to spare; and
 * few enough that deadline tasks that are there already leave it that much.
 */
#define LP_TURN_RUNTIME_NS (500 * NSEC_PER_MSEC)
#define LP_TURN_PERIOD_NS (1000 * NSEC_PER_MSEC)

static DEFINE_MUTEX(lp_turn);

/*
 * Each wake-up could preempt a normal thread in the middle of the window (lazy preemption), for
 * seconds. A SCHED_FIFO thread of a kernel module has priority 50: real-time threads above that,
 * which the window releases, could keep it from giving back the mmap_lock for ever. So this thread
 * is of the deadline class, that comes before all of them, for as long as it has its turn.
 */
static void lp_turn_take_precedence(void)
{
	const struct sched_attr attr = {
		.size = sizeof(attr),
		.sched_policy = SCHED_DEADLINE,
		.sched_runtime = LP_TURN_RUNTIME_NS,
		.sched_deadline = LP_TURN_PERIOD_NS,
		.sched_period = LP_TURN_PERIOD_NS,
	};

	/* Refused if deadline tasks have the time of all CPUs already. */
	if (sched_setattr_nocheck(current, &attr))
		sched_set_fifo(current);
}

/* Waits for the turn of this kthread to open windows. lp_freeze_unlock() ends it. */
void lp_freeze_lock(void)
{
	mutex_lock(&lp_turn);
	lp_turn_take_precedence();
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
