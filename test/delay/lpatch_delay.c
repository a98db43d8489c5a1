// SPDX-License-Identifier: GPL-2.0
/*
 * For tests: holds each stop window of lpatch open, after everything in it was checked and before anything is
 * written, so that what is to happen in a window, or while somebody waits for one, can. It hangs on the
 * tracepoint lpatch:checks, of the module or built in, and lpatch knows nothing of it.
 */

#include <linux/ktime.h>
#include <linux/module.h>
#include <linux/string.h>
#include <linux/tracepoint.h>

struct lp_freeze;

static unsigned int us;
module_param(us, uint, 0600);
MODULE_PARM_DESC(us, "Microseconds to hold each stop window open (default 0)");

static unsigned int released;
module_param(released, uint, 0600);
MODULE_PARM_DESC(released, "Another value lets go the windows that are held open");

/* Preemption is off, as anywhere in a window: this can only be busy. */
static void lpatch_delay_hold(void *data, const struct lp_freeze *f, int error)
{
	u64 until = ktime_get_ns() + (u64)READ_ONCE(us) * NSEC_PER_USEC;
	unsigned int before = READ_ONCE(released);

	while (ktime_get_ns() < until && READ_ONCE(released) == before)
		cpu_relax();
}

static void lpatch_delay_attach(struct tracepoint *tp, void *coming)
{
	if (strcmp(tp->name, "checks"))
		return;
	if (*(bool *)coming)
		WARN_ON(tracepoint_probe_register(tp, lpatch_delay_hold, NULL));
	else
		tracepoint_probe_unregister(tp, lpatch_delay_hold, NULL);
}

static int lpatch_delay_notify(struct notifier_block *nb, unsigned long state, void *data)
{
	const struct tp_module *tp_mod = data;
	struct module *mod = tp_mod->mod;
	bool coming = state == MODULE_STATE_COMING;
	unsigned int i;

	if (!strcmp(mod->name, "lpatch"))
		for (i = 0; i < mod->num_tracepoints; i++)
			lpatch_delay_attach(tracepoint_ptr_deref(&mod->tracepoints_ptrs[i]), &coming);
	return NOTIFY_OK;
}

static struct notifier_block lpatch_delay_nb = { .notifier_call = lpatch_delay_notify };

static int __init lpatch_delay_init(void)
{
	bool coming = true;

	for_each_kernel_tracepoint(lpatch_delay_attach, &coming);
	/* This calls it for the modules that are there. */
	return register_tracepoint_module_notifier(&lpatch_delay_nb);
}
/* There is no module_exit(): it stays, as no test needs it gone. */
module_init(lpatch_delay_init);

MODULE_DESCRIPTION("Holds the stop windows of lpatch open, for its tests");
MODULE_LICENSE("GPL");
