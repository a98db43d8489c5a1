// SPDX-License-Identifier: GPL-2.0
/*
 * For tests: holds each stop window of lpatch open, when all threads are stopped and before any check, to test what
 * happens in a window or while another operation waits for it. ftrace calls it at the entry of lpatch_threads_check(),
 * in the module or built in; lpatch does not know about it.
 */

#include <linux/ftrace.h>
#include <linux/ktime.h>
#include <linux/module.h>
#include <linux/notifier.h>
#include <linux/sched.h>
#include <linux/string.h>

static unsigned int us;
module_param(us, uint, 0600);
MODULE_PARM_DESC(us, "Microseconds to hold each stop window open (default 0)");

static unsigned int released;
module_param(released, uint, 0600);
MODULE_PARM_DESC(released, "Another value lets go the windows that are held open");

/*
 * Like lpatch_freeze_relax(): preemption is disabled in a window, but other tasks that want the CPU get it from time to
 * time.
 */
static void lpatch_delay_hold(unsigned long ip, unsigned long parent_ip, struct ftrace_ops *ops,
			      struct ftrace_regs *fregs)
{
	u64 until = ktime_get_ns() + (u64)READ_ONCE(us) * NSEC_PER_USEC;
	unsigned int before = READ_ONCE(released);

	while (ktime_get_ns() < until && READ_ONCE(released) == before) {
		cpu_relax();
		if (!need_resched())
			continue;
		preempt_enable();
		cond_resched();
		preempt_disable();
	}
}

static struct ftrace_ops lpatch_delay_ops = { .func = lpatch_delay_hold };
static bool lpatch_delay_attached;

/* The function exists only while lpatch is loaded. Return: 0 or a negative errno. */
static int lpatch_delay_attach(void)
{
	static unsigned char name[] = "lpatch_threads_check";
	int ret = ftrace_set_filter(&lpatch_delay_ops, name, strlen(name), 1);

	ret = ret ?: register_ftrace_function(&lpatch_delay_ops);
	lpatch_delay_attached = !ret;
	return ret;
}

/* Also called if lpatch's own init failed, before this was attached. */
static void lpatch_delay_detach(void)
{
	if (lpatch_delay_attached)
		unregister_ftrace_function(&lpatch_delay_ops);
	lpatch_delay_attached = false;
}

static int lpatch_delay_notify(struct notifier_block *nb, unsigned long state, void *data)
{
	const struct module *mod = data;

	if (strcmp(mod->name, "lpatch"))
		return NOTIFY_OK;
	if (state == MODULE_STATE_LIVE)
		WARN_ON(lpatch_delay_attach());
	else if (state == MODULE_STATE_GOING)
		lpatch_delay_detach();
	return NOTIFY_OK;
}

static struct notifier_block lpatch_delay_nb = { .notifier_call = lpatch_delay_notify };

static int __init lpatch_delay_init(void)
{
	int ret = lpatch_delay_attach();

	return ret ?: register_module_notifier(&lpatch_delay_nb);
}
/* No module_exit(): no test needs to unload this module. */
module_init(lpatch_delay_init);

MODULE_DESCRIPTION("Holds the stop windows of lpatch open, for its tests");
MODULE_LICENSE("GPL");
