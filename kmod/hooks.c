// SPDX-License-Identifier: GPL-2.0
/*
 * How lpatch learns what happens to memory and tasks. The kernel makes three calls of its own uprobes
 * that say all that is needed of memory, and none of them walks or waits:
 *
 *   uprobe_mmap(vma)		a file becomes memory	mmap_region(), vma_complete()
 *   uprobe_dup_mmap(old, new)	an mm is copied		dup_mmap()
 *   uprobe_clear_state(mm)	an mm has ended		__mmput()
 *
 * In the kernel's tree lpatch_hook_mmap(), lpatch_hook_copy() and lpatch_hook_end() would be called beside
 * them, and lp_hook_born() at the end of copy_process().
 *
 * A module has ftrace call the three from the first instruction of each of those functions instead, by a
 * trampoline (register_ftrace_direct(), as BPF's fentry programs and the kernel's samples/ftrace): that
 * is a plain call in the context of the caller, which may sleep. A kprobe's handler may not. For tasks
 * there is a tracepoint.
 *
 * Being called is no reference on the module. Whoever may sleep takes one for as long, and what runs
 * before and after that is over when ftrace's unregistering returns: it waits for all tasks to have
 * switched voluntarily, or been in user mode.
 */

#include <linux/ftrace.h>
#include <linux/mm_types.h>
#include <linux/module.h>
#include <linux/printk.h>
#include <linux/string.h>
#include <linux/tracepoint.h>

#include "arch.h"
#include "compat.h"
#include "freeze.h"
#include "history.h"
#include "hooks.h"
#include "lineage.h"
#include "start.h"

/**
 * struct lp_hook - one of them
 * @name: the kernel's function
 * @trampoline: what ftrace calls
 * @ops: of ftrace
 */
struct lp_hook {
	unsigned char *name;
	void (*trampoline)(void);
	struct ftrace_ops ops;
};

static struct lp_hook lp_hooks[] = {
	{ .name = "uprobe_mmap", .trampoline = lpatch_arch_hook_mmap },
	{ .name = "uprobe_dup_mmap", .trampoline = lpatch_arch_hook_copy },
	{ .name = "uprobe_clear_state", .trampoline = lpatch_arch_hook_end },
};

/* mmap_lock of @vma's mm held for writing. Called by the trampoline. */
void lpatch_hook_mmap(struct vm_area_struct *vma)
{
	lpatch_start_mapped(vma);
}

/* mmap_lock of @old held for writing; nobody else knows @new yet, and it is empty. */
void lpatch_hook_copy(struct mm_struct *old, struct mm_struct *new)
{
	lpatch_history_copied(old, new);
	lpatch_lineage_copied(old, new);
}

/* Nobody uses @mm any more. No lock held. */
void lpatch_hook_end(struct mm_struct *mm)
{
	lpatch_history_ended(mm);
	lpatch_lineage_ended(mm);
}

/* @task is on the list of tasks, and has not run yet. Preemption disabled. */
static void lp_hook_born(void *unused, struct task_struct *task, lp_clone_flags_t clone_flags)
{
	lpatch_freeze_born(task);
	lpatch_lineage_born(task);
}

static struct tracepoint *lp_newtask;

static void lp_find_newtask(struct tracepoint *tp, void *unused)
{
	if (!strcmp(tp->name, "task_newtask"))
		lp_newtask = tp;
}

static int __init lp_hook_tasks(void)
{
	for_each_kernel_tracepoint(lp_find_newtask, NULL);
	if (!lp_newtask) {
		pr_err("lpatch: this kernel has no tracepoint task_newtask; it needs CONFIG_TRACEPOINTS=y\n");
		return -ENOENT;
	}
	return tracepoint_probe_register(lp_newtask, lp_hook_born, NULL);
}

static void lp_unhook_tasks(void)
{
	tracepoint_probe_unregister(lp_newtask, lp_hook_born, NULL);
	tracepoint_synchronize_unregister();
}

/* Says why lpatch is not called by one of the functions: @ret is a negative errno. */
static void __init lp_hook_refused(const struct lp_hook *hook, int ret)
{
	pr_err("lpatch: this kernel does not let lpatch be called by %s (error %d); it needs CONFIG_UPROBES=y and CONFIG_DYNAMIC_FTRACE_WITH_DIRECT_CALLS=y\n",
	       hook->name, ret);
}

static void lp_hook_nothing(unsigned long ip, unsigned long parent_ip, struct ftrace_ops *ops,
			    struct ftrace_regs *fregs)
{
}

/* Does ftrace call anything? Where the sysctl kernel.ftrace_enabled is 0 it takes who registers, and does not. */
static int __init lp_hooks_check(void)
{
	struct lp_hook *hook = &lp_hooks[0];
	int ret;

	hook->ops.func = lp_hook_nothing;
	hook->ops.flags = FTRACE_OPS_FL_PERMANENT;
	ret = ftrace_set_filter(&hook->ops, hook->name, strlen(hook->name), 1);
	if (!ret)
		ret = register_ftrace_function(&hook->ops);
	if (!ret)
		unregister_ftrace_function(&hook->ops);
	ftrace_free_filter(&hook->ops);
	memset(&hook->ops, 0, sizeof(hook->ops));
	if (ret == -EBUSY)
		pr_err("lpatch: ftrace is off; switch it on (sysctl kernel.ftrace_enabled=1) and load lpatch again\n");
	else if (ret)
		lp_hook_refused(hook, ret);
	return ret;
}

static int __init lp_hook_add(struct lp_hook *hook)
{
	int ret;

	ret = ftrace_set_filter(&hook->ops, hook->name, strlen(hook->name), 1);
	if (!ret)
		ret = lp_ftrace_register(&hook->ops, (unsigned long)hook->trampoline);
	if (!ret) {
		/* The sysctl kernel.ftrace_enabled cannot be set to 0 from here on. */
		hook->ops.flags |= FTRACE_OPS_FL_PERMANENT;
		return 0;
	}
	if (ret == -EBUSY)
		pr_err("lpatch: something else is attached to the kernel's %s, a BPF program of type fentry perhaps; end it and load lpatch again\n",
		       hook->name);
	else
		lp_hook_refused(hook, ret);
	ftrace_free_filter(&hook->ops);
	return ret;
}

static void lp_hooks_remove(unsigned int nr)
{
	while (nr--)
		lp_ftrace_unregister(&lp_hooks[nr].ops, (unsigned long)lp_hooks[nr].trampoline);
}

/* Return: 0, or a negative errno after a sentence in the log. */
int __init lpatch_hooks_init(void)
{
	unsigned int i;
	int ret;

	ret = lp_hooks_check() ?: lp_hook_tasks();
	if (ret)
		return ret;
	for (i = 0; i < ARRAY_SIZE(lp_hooks); i++) {
		ret = lp_hook_add(&lp_hooks[i]);
		if (ret) {
			lp_hooks_remove(i);
			lp_unhook_tasks();
			return ret;
		}
	}
	return 0;
}

void lpatch_hooks_exit(void)
{
	lp_hooks_remove(ARRAY_SIZE(lp_hooks));
	lp_unhook_tasks();
}
