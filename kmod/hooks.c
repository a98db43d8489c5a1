// SPDX-License-Identifier: GPL-2.0
/*
 * Hooks for changes of memory and tasks. Three calls that the kernel makes to its own uprobes code
 * tell lpatch all that it needs to know about memory. Unlike registering a uprobe, hooking these
 * calls walks no mappings and takes no mmap_lock.
 *
 *   uprobe_mmap(vma)		a file is mapped	mmap_region(), vma_complete()
 *   uprobe_dup_mmap(old, new)	an mm is copied		dup_mmap()
 *   uprobe_clear_state(mm)	an mm is torn down	__mmput()
 *
 * In the kernel tree, lpatch_hook_mmap(), lpatch_hook_copy() and lpatch_hook_end() would be called
 * next to them, and lp_hook_born() at the end of copy_process().
 *
 * As a module, lpatch has ftrace call its hooks from the first instruction of these functions,
 * through a trampoline (register_ftrace_direct(), like BPF's fentry programs and the kernel's
 * samples/ftrace). A hook is then an ordinary call in the context of the caller, which may sleep. A
 * kprobe handler must not sleep. For tasks there is a tracepoint.
 *
 * A running hook does not hold a reference on the module. A hook that may sleep takes one
 * meanwhile. The instructions before and after that have completed when unregistering from ftrace
 * returns: it waits until every task has switched context voluntarily or been in user mode.
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
 * struct lp_hook - a hook on a kernel function
 * @name: the kernel's function
 * @trampoline: called by ftrace
 * @ops: for ftrace
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

/* mmap_lock of @old held for writing. @new is empty and not visible to other tasks yet. */
void lpatch_hook_copy(struct mm_struct *old, struct mm_struct *new)
{
	lpatch_history_copied(old, new);
	lpatch_lineage_copied(old, new);
}

/* @mm has no users any more. No lock held. */
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

/* Logs why a function could not be hooked. @ret: a negative errno. */
static void __init lp_hook_refused(const struct lp_hook *hook, int ret)
{
	pr_err("lpatch: this kernel does not let lpatch be called by %s (error %d); it needs CONFIG_UPROBES=y and CONFIG_DYNAMIC_FTRACE_WITH_DIRECT_CALLS=y\n",
	       hook->name, ret);
}

static void lp_hook_nothing(unsigned long ip, unsigned long parent_ip, struct ftrace_ops *ops,
			    struct ftrace_regs *fregs)
{
}

/*
 * Does ftrace work? If the sysctl kernel.ftrace_enabled is 0, registering succeeds but the function
 * is never called. FTRACE_OPS_FL_PERMANENT makes it fail with -EBUSY.
 */
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

/* Logs a sentence if it fails. Return: 0 or a negative errno. */
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
