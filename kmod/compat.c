// SPDX-License-Identifier: GPL-2.0
/*
 * Finds task_work_add(). Debian and Ubuntu export it for Android's binder, mainline does not.
 * Without the export, the address is resolved once at load with a kprobe on the symbol name.
 */

#include <linux/kprobes.h>
#include <linux/module.h>
#include <linux/printk.h>

#include "compat.h"

const char *lpatch_task_work_source = "export";
int (*lpatch_task_work_add)(struct task_struct *task, struct callback_head *work,
			    enum task_work_notify_mode mode);

/*
 * A kprobe on a function that begins with endbr64 is placed after that instruction
 * (arch_adjust_kprobe_addr() in arch/x86/kernel/kprobes/core.c). Under IBT, a function whose
 * endbr64 was sealed away must not be called indirectly.
 */
static void *lp_function_entry(void *probed)
{
	u32 before = *(u32 *)(probed - 4);

	if (before == 0xfa1e0ff3) /* endbr64 */
		return probed - 4;
	if (IS_ENABLED(CONFIG_X86_KERNEL_IBT))
		return NULL;
	return probed;
}

static int lp_find_by_kprobe(void)
{
	struct kprobe kp = { .symbol_name = "task_work_add" };
	int ret;

	ret = register_kprobe(&kp);
	if (ret)
		return ret;
	lpatch_task_work_add = lp_function_entry(kp.addr);
	lpatch_task_work_source = "kprobe";
	unregister_kprobe(&kp);
	return lpatch_task_work_add ? 0 : -ENOENT;
}

/**
 * lpatch_compat_init() - find the kernel functions that are not exported everywhere
 *
 * Logs a sentence that says what is needed if it fails.
 *
 * Return: 0 or a negative errno.
 */
int lpatch_compat_init(void)
{
	int ret;

	/* Use symbol_get(): a kernel without the export can still load the module then. */
	lpatch_task_work_add = symbol_get(task_work_add);
	if (lpatch_task_work_add)
		return 0;
	ret = lp_find_by_kprobe();
	if (ret)
		pr_err("lpatch: this kernel neither exports task_work_add nor lets a kprobe find it (error %d); use a kernel that exports it or has CONFIG_KPROBES=y, or build lpatch into the kernel\n",
		       ret);
	return ret;
}
