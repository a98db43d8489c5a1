// SPDX-License-Identifier: GPL-2.0
/*
 * Code addresses of a thread that uprobes keep in the kernel:
 *
 *  - A uretprobe replaces the return address on the stack with the address of a trampoline; the
 *    original is in a list of the thread (prepare_uretprobe() in kernel/events/uprobes.c).
 *  - A thread single-steps a probed instruction in a copy at another address (pre_ssout()). Its
 *    instruction pointer is in the copy until it is set to the address after the instruction.
 *
 * Only the thread itself changes these. The caller checks that the thread has not run meanwhile, as
 * it does for the kernel stack. If it has, this may read freed memory, hence the nofault accesses.
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
	/*
	 * The thread sleeps in a handler, with some entries freed and the list not yet shortened.
	 */
	return nr == utask->depth ? 0 : -EFAULT;
}

/**
 * lpatch_probe_each_addr() - call a function for each code address that uprobes keep for a thread
 * @task: held, or not on a CPU
 * @fn: gets the address, and whether it is that of the current instruction or a return address
 * @arg: passed to @fn
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

	/*
	 * A uprobe_task that cannot be read belongs to a thread that has called execve() or exited.
	 */
	if (!at || copy_from_kernel_nofault(&utask, at, sizeof(utask)))
		return 0;
	/*
	 * It has begun the instruction, so it is past the address, even if that is a function
	 * entry.
	 */
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
