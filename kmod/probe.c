// SPDX-License-Identifier: GPL-2.0
/*
 * Code addresses of a thread that uprobes keep in the kernel:
 *
 *  - A uretprobe puts the address of a trampoline in place of the return address on the stack; the
 *    real one is in a list of the thread (prepare_uretprobe() in kernel/events/uprobes.c).
 *  - A thread that executes a probed instruction does so in a copy of it, elsewhere (pre_ssout()).
 *    That is where its instruction pointer is, until it is sent back behind the instruction.
 *
 * Only the thread itself changes these. That it has not run meanwhile the caller finds out, as with
 * the kernel stack; if it has, what is read here may be freed memory, hence the nofault.
 */

#include <linux/sched.h>
#include <linux/uaccess.h>
#include <linux/uprobes.h>

#include "probe.h"

#ifdef CONFIG_UPROBES

/* MAX_URETPROBE_DEPTH in kernel/events/uprobes.c. */
#define LP_RETURNS_MAX 64

static int lp_each_return(const struct uprobe_task *utask,
			  int (*fn)(unsigned long value, bool ip, void *arg), void *arg)
{
	const struct return_instance *next = utask->return_instances;
	struct return_instance instance;
	unsigned int nr;
	int ret;

	for (nr = 0; next && nr < LP_RETURNS_MAX; nr++, next = instance.next) {
		if (copy_from_kernel_nofault(&instance, next, sizeof(instance)))
			return -EFAULT;
		ret = fn(instance.orig_ret_vaddr, false, arg);
		if (ret)
			return ret;
	}
	/* It sleeps in a handler, with some of them freed and the list not yet shortened. */
	return nr == utask->depth ? 0 : -EFAULT;
}

/**
 * lpatch_probe_each_addr() - call a function for each code address that uprobes keep for a thread
 * @task: held, or not on a CPU
 * @fn: gets the address, and whether it is of the instruction being executed or one to return to
 * @arg: for @fn
 *
 * Return: the first nonzero value from @fn, or 0, or -EFAULT if the thread is in the middle of
 * changing its list.
 */
int lpatch_probe_each_addr(const struct task_struct *task,
			   int (*fn)(unsigned long value, bool ip, void *arg), void *arg)
{
	const struct uprobe_task *at = READ_ONCE(task->utask);
	struct uprobe_task utask;
	int ret = 0;

	/* What cannot be read belongs to a thread that has executed another program, or has died. */
	if (!at || copy_from_kernel_nofault(&utask, at, sizeof(utask)))
		return 0;
	/* It has begun the instruction, so it is behind the address, even if that is an entry. */
	if (utask.active_uprobe)
		ret = fn(utask.vaddr, true, arg) ?: fn(utask.vaddr + 1, true, arg);
	return ret ?: lp_each_return(&utask, fn, arg);
}

#else

int lpatch_probe_each_addr(const struct task_struct *task,
			   int (*fn)(unsigned long value, bool ip, void *arg), void *arg)
{
	return 0;
}

#endif
