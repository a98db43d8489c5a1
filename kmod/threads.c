// SPDX-License-Identifier: GPL-2.0
/*
 * Searches the threads of a target for references to code that goes out of use. stack.c searches
 * one thread; this file decides when, and which ones.
 *
 * A thread's user registers and stack can be read when
 *  - it is held at its gate, or
 *  - it is not on a CPU, neither before nor after, and has not switched context in between.
 *
 * A thread that was found clean while asleep before the window, and has not switched context since,
 * is not searched again in the window.
 *
 * Threads that refer to code in which they may finish are counted, each once. A thread that cannot
 * be read is in the way even then: it is not known whether it has left the code.
 */

#include <linux/ktime.h>
#include <linux/sched/signal.h>
#include <linux/string.h>

#include "freeze.h"
#include "gate.h"
#include "stack.h"
#include "threads.h"

/* Will the thread never execute user instructions in this mm again? */
static bool lp_thread_gone(const struct lp_freeze *f, struct task_struct *task)
{
	return (READ_ONCE(task->flags) & PF_EXITING) || READ_ONCE(task->mm) != f->mm ||
	       __fatal_signal_pending(task);
}

static bool lp_thread_held(const struct lp_gate *gate)
{
	/* Pairs with smp_store_release() in lpatch_window_wait(). */
	return smp_load_acquire(&gate->held);
}

static bool lp_thread_on_cpu(const struct task_struct *task)
{
	/*
	 * Pairs with the release in finish_task() of kernel/sched/core.c: makes everything visible
	 * that the task did before it was switched out.
	 */
	return smp_load_acquire(&task->on_cpu);
}

static unsigned long lp_thread_switches(const struct task_struct *task)
{
	return READ_ONCE(task->nvcsw) + READ_ONCE(task->nivcsw);
}

/**
 * lpatch_threads_prescan() - find the sleeping threads that are not in the way
 * @s: the search
 * @f: prepared; clean threads are marked in it
 * @until: ktime ns when this ends in any case; threads that are left are searched in the window
 *
 * Context: a kthread that uses the target's mm or a thread of the target, no lock held; faults in
 * user memory; SIGKILL interrupts it.
 */
void lpatch_threads_prescan(struct lp_scan *s, struct lp_freeze *f, u64 until)
{
	unsigned int i;

	s->freeze = NULL;
	s->until = until;
	if (!s->spans.nr && !s->spans.nr_allowed)
		return;
	for (i = 0; i < lpatch_freeze_nr(f) && ktime_get_ns() < until; i++) {
		struct lp_thread *thread = &f->threads[i];
		struct task_struct *task = thread->gate->task;
		unsigned long switches;

		thread->clean = false;
		if (lp_thread_on_cpu(task) || READ_ONCE(task->on_rq) || lp_thread_gone(f, task))
			continue;
		switches = lp_thread_switches(task);
		if (lpatch_stack_scan(s, f->mm, task, false))
			continue;
		if (lp_thread_on_cpu(task) || lp_thread_switches(task) != switches)
			continue;
		thread->switches = switches;
		thread->found = s->found;
		thread->clean = true;
	}
}

/*
 * Has the thread slept since it was found clean? That is true for almost all threads, so nothing
 * else is read of them.
 */
static bool lp_thread_slept(const struct lp_thread *thread)
{
	const struct task_struct *task = thread->gate->task;

	/* The order matters: a switch is counted before the task leaves the CPU. */
	return thread->clean && !lp_thread_on_cpu(task) &&
	       lp_thread_switches(task) == thread->switches;
}

/* Waits until the thread can be read, and searches it. Sets @s->found like lpatch_stack_scan(). */
static int lp_check_thread(struct lp_scan *s, struct lp_freeze *f, struct lp_thread *thread,
			   u64 settle_until)
{
	struct task_struct *task = thread->gate->task;
	unsigned long switches;
	int ret;

	for (;;) {
		if (lp_thread_slept(thread)) {
			s->found = thread->found;
			return 0;
		}
		s->found = NULL;
		if (lp_thread_gone(f, task))
			return 0;
		if (lp_thread_held(thread->gate))
			return lpatch_stack_scan(s, f->mm, task, false);
		if (!lp_thread_on_cpu(task)) {
			switches = lp_thread_switches(task);
			ret = lpatch_stack_scan(s, f->mm, task, READ_ONCE(task->on_rq));
			if (!lp_thread_on_cpu(task) && lp_thread_switches(task) == switches)
				return ret;
		}
		if (ktime_get_ns() >= settle_until)
			return lpatch_stack_busy(s, task, LP_BUSY_RUNNING, NULL);
		lpatch_freeze_relax(f);
	}
}

/* Counts the thread that was searched last if it refers to code in which it may finish. */
static void lp_count_active(struct lp_scan *s, struct task_struct *task)
{
	struct lp_active *active = &s->active;

	if (!s->found || active->threads++)
		return;
	active->tid = task_pid_nr(task);
	active->is_patch = s->found->is_patch;
	strscpy(active->name, s->found->name, sizeof(active->name));
}

/**
 * lpatch_threads_check() - does any thread of a frozen target refer to code that goes out of use?
 * @s: the search; set to the thread on which it failed, or to the threads in allowed code
 * @f: in its window
 *
 * Context: a kthread that uses the target's mm or a thread of the target, mmap_lock held for read,
 * preemption disabled.
 * Return: 0, -EBUSY if a thread is in the way, -EFAULT if user memory has to be faulted in first.
 */
int lpatch_threads_check(struct lp_scan *s, struct lp_freeze *f)
{
	u64 settle_until = f->began + (f->deadline - f->began) / 2;
	unsigned int i;
	int ret;

	s->freeze = f;
	s->until = f->window ? f->deadline : U64_MAX;
	s->active = (struct lp_active){};
	if (!s->spans.nr && !s->spans.nr_allowed)
		return 0;
	if (f->self) {
		ret = lpatch_stack_scan(s, f->mm, f->self, false);
		if (ret)
			return ret;
		lp_count_active(s, f->self);
	}
	/* nr may grow while a thread in the middle of clone() completes it. */
	for (i = 0; i < lpatch_freeze_nr(f); i++) {
		ret = lp_check_thread(s, f, &f->threads[i], settle_until);
		if (ret)
			return ret;
		lp_count_active(s, f->threads[i].gate->task);
		lpatch_freeze_relax(f);
	}
	return 0;
}
