/* SPDX-License-Identifier: GPL-2.0 */
#ifndef LPATCH_BOOT_H
#define LPATCH_BOOT_H

#include <linux/types.h>

#include "uapi/lpatch.h"

struct lp_patch;
struct netlink_ext_ack;

/* A boot entry, as it is told of. */
struct lp_boot_info {
	const struct lp_patch *patch;
	u32 flags;
	u64 applied;
	u64 failed;
	char message[LPATCH_MESSAGE_MAX + 1];
};

int lp_boot_add(struct lp_patch *patch, u32 flags, struct netlink_ext_ack *extack);
int lp_boot_remove(const u8 *hash);
int lp_boot_each(long *position, int (*fn)(const struct lp_boot_info *boot, void *arg), void *arg);

#endif
