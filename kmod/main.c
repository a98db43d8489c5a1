// SPDX-License-Identifier: GPL-2.0
/* lpatch: live patching of running user-space programs. */

#include <linux/module.h>
#include <linux/rcupdate.h>

#include "compat.h"
#include "gate.h"
#include "history.h"
#include "hooks.h"
#include "keys.h"
#include "netlink.h"

static int __init lp_init(void)
{
	int ret;

	ret = lpatch_compat_init();
	if (ret)
		return ret;
	ret = lpatch_keys_init();
	if (ret)
		return ret;
	ret = lpatch_gate_init();
	if (ret)
		goto err_gate;
	ret = lpatch_hooks_init();
	if (ret)
		goto err_hooks;
	ret = lpatch_netlink_init();
	if (ret)
		goto err_netlink;
	return 0;

err_netlink:
	lpatch_hooks_exit();
err_hooks:
	lpatch_gate_exit();
err_gate:
	lpatch_keys_exit();
	return ret;
}

static void __exit lp_exit(void)
{
	/* No request comes in any more, and those under way are done. */
	lpatch_netlink_exit();
	lpatch_hooks_exit();
	lpatch_history_forget();
	/*
	 * Every record, every queued gate, every boot entry and every work of one held the module, so
	 * there is none. A thread may still be in the last instructions of such a work, behind its
	 * module_put(); lpatch_gate_exit() waits until it has left them.
	 */
	lpatch_gate_exit();
	lpatch_keys_exit();
}

/* Built in, behind the key types and the keyrings of the kernel that signature.c refers to. */
late_initcall(lp_init);
module_exit(lp_exit);

MODULE_AUTHOR("lpatch maintainers");
MODULE_DESCRIPTION("Live patching of running user-space programs");
MODULE_LICENSE("GPL");
MODULE_VERSION(LPATCH_VERSION);
