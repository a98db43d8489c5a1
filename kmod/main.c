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
	/* After this no request arrives, and requests in progress have completed. */
	lpatch_netlink_exit();
	lpatch_hooks_exit();
	lpatch_history_forget();
	/*
	 * Every record, queued gate, boot entry and queued boot work held a reference on the
	 * module, so none is left. A thread may still execute the last instructions of such a work,
	 * after its module_put(); lpatch_gate_exit() waits for that.
	 */
	lpatch_gate_exit();
	lpatch_keys_exit();
}

/*
 * If built in, it runs after the initialization of the key types and keyrings that signature.c
 * uses.
 */
late_initcall(lp_init);
module_exit(lp_exit);

MODULE_AUTHOR("lpatch maintainers");
MODULE_DESCRIPTION("Live patching of running user-space programs");
MODULE_LICENSE("GPL");
MODULE_VERSION(LPATCH_VERSION);
