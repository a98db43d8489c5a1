// SPDX-License-Identifier: GPL-2.0
/* lpatch: live patching of running user-space programs. */

#include <linux/module.h>
#include <linux/rcupdate.h>

#include "compat.h"
#include "freeze.h"
#include "gate.h"
#include "lineage.h"
#include "netlink.h"

static int __init lp_init(void)
{
	int ret;

	ret = lp_compat_init();
	if (ret)
		return ret;
	ret = lp_gate_init();
	if (ret)
		return ret;
	ret = lp_lineage_init();
	if (ret)
		goto err_lineage;
	ret = lp_netlink_init();
	if (ret)
		goto err_netlink;
	return 0;

err_netlink:
	lp_lineage_exit();
err_lineage:
	lp_gate_exit();
	return ret;
}

static void __exit lp_exit(void)
{
	/* No request comes in any more, and those under way are done. */
	lp_netlink_exit();
	/*
	 * Every record held the module, so the list of targets is empty; this ends the probes and
	 * the purge work.
	 */
	lp_lineage_exit();
	/*
	 * Every queued gate, every boot entry and every work of one held the module, so there is
	 * none. A thread may still be in the last instructions of such a work, behind its
	 * module_put(); lp_gate_exit() waits until it has left them.
	 */
	lp_gate_exit();
}

module_init(lp_init);
module_exit(lp_exit);

MODULE_DESCRIPTION("Live patching of running user-space programs");
MODULE_LICENSE("GPL");
MODULE_VERSION(LPATCH_VERSION);
