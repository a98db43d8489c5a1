// SPDX-License-Identifier: GPL-2.0
/*
 * How lpatch learns what happens to memory. The kernel makes three calls of its own uprobes that say
 * all that is needed, and none of them walks or waits:
 *
 *   uprobe_mmap(vma)		a file becomes memory	mmap_region(), vma_complete()
 *   uprobe_dup_mmap(old, new)	an mm is copied		dup_mmap()
 *   uprobe_clear_state(mm)	an mm has ended		__mmput()
 *
 * In the kernel's tree each would have a call of lpatch beside it:
 *
 *   lp_boot_mapped(vma);
 *   lp_history_copied(old, new);
 *   lp_history_ended(mm);
 *
 * A module has ftrace call them from the first instruction of each of the three instead, by a
 * trampoline (register_ftrace_direct(), as BPF's fentry programs and the kernel's samples/ftrace): that
 * is a plain call in the context of the caller, which may sleep. A kprobe's handler may not.
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

#include "arch.h"
#include "boot.h"
#include "compat.h"
#include "history.h"
#include "hooks.h"

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
	{ .name = "uprobe_mmap", .trampoline = lp_arch_hook_mmap },
	{ .name = "uprobe_dup_mmap", .trampoline = lp_arch_hook_copy },
	{ .name = "uprobe_clear_state", .trampoline = lp_arch_hook_end },
};

/* mmap_lock of @vma's mm held for writing. Called by the trampoline. */
void lp_hook_mmap(struct vm_area_struct *vma)
{
	lp_boot_mapped(vma);
}

/* mmap_lock of @old held for writing; nobody else knows @new yet, and it is empty. */
void lp_hook_copy(struct mm_struct *old, struct mm_struct *new)
{
	lp_history_copied(old, new);
}

/* Nobody uses @mm any more. No lock held. */
void lp_hook_end(struct mm_struct *mm)
{
	lp_history_ended(mm);
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
		pr_err("lpatch: this kernel does not let lpatch be called by %s (error %d); it needs CONFIG_UPROBES=y and CONFIG_DYNAMIC_FTRACE_WITH_DIRECT_CALLS=y\n",
		       hook->name, ret);
	ftrace_free_filter(&hook->ops);
	return ret;
}

static void lp_hooks_remove(unsigned int nr)
{
	while (nr--)
		lp_ftrace_unregister(&lp_hooks[nr].ops, (unsigned long)lp_hooks[nr].trampoline);
}

/* Return: 0, or a negative errno after a sentence in the log. */
int __init lp_hooks_init(void)
{
	unsigned int i;
	int ret;

	for (i = 0; i < ARRAY_SIZE(lp_hooks); i++) {
		ret = lp_hook_add(&lp_hooks[i]);
		if (ret) {
			lp_hooks_remove(i);
			return ret;
		}
	}
	return 0;
}

void lp_hooks_exit(void)
{
	lp_hooks_remove(ARRAY_SIZE(lp_hooks));
}
