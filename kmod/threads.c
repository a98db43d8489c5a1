// SPDX-License-Identifier: GPL-2.0
/*
 * Does any thread of a target refer into code that goes out of use? stack.c searches one; here is
 * when, and which.
 *
 * A thread's user registers and stack can be read when
 *  - it is held at its gate, or
 *  - it is not on a CPU, before and after, and has not switched context in between.
 *
 * Threads that were found clean while asleep before the window, and have not switched context
 * since, are not searched again in it.
 *
 * Where it is allowed that threads finish in such code, those that refer to it are counted, each
 * once. A thread that cannot be read is in the way there too: nobody knows that it has left.
 */

#include <linux/ktime.h>
#include <linux/sched/signal.h>
#include <linux/string.h>

#include "freeze.h"
#include "gate.h"
#include "stack.h"
#include "threads.h"

/* It will not execute user instructions in this mm any more. */
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
	 * Pairs with the release in finish_task() of kernel/sched/core.c: what the task did before
	 * it was switched out is seen.
	 */
	return smp_load_acquire(&task->on_cpu);
}

static unsigned long lp_thread_switches(const struct task_struct *task)
{
	return READ_ONCE(task->nvcsw) + READ_ONCE(task->nivcsw);
}

/**
 * lpatch_threads_prescan() - find the threads that sleep and are not in the way
 * @s: what to search for
 * @f: prepared; the clean threads are marked in it
 * @until: ktime ns when it ends in any case; those that were not searched are so in the window
 *
 * Context: a kthread that uses the target's mm or a thread of the target, no lock held; faults user memory
 * in; SIGKILL ends it.
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
 * Has it slept since it was found clean? Almost all threads have, so this looks at nothing else of
 * them.
 */
static bool lp_thread_slept(const struct lp_thread *thread)
{
	const struct task_struct *task = thread->gate->task;

	/* In this order: a switch is counted before the task leaves the CPU. */
	return thread->clean && !lp_thread_on_cpu(task) &&
	       lp_thread_switches(task) == thread->switches;
}

/* Waits until the thread can be read, and reads it. Notes in @s->found as lpatch_stack_scan() does. */
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

/* Counts the thread that was searched last, if it refers to code that it may finish in. */
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
 * @s: what to search for; says on which thread the search ended, or who is in code that is allowed
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
	/* nr grows while a thread that was in the middle of clone() completes it. */
	for (i = 0; i < lpatch_freeze_nr(f); i++) {
		ret = lp_check_thread(s, f, &f->threads[i], settle_until);
		if (ret)
			return ret;
		lp_count_active(s, f->threads[i].gate->task);
		lpatch_freeze_relax(f);
	}
	return 0;
}
