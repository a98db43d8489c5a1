/* SPDX-License-Identifier: GPL-2.0 */
#ifndef LPATCH_BOOT_H
#define LPATCH_BOOT_H

#include <linux/kref.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/types.h>
#include <linux/uprobes.h>

#include "uapi/lpatch.h"

struct lp_op;
struct lp_patch;
struct netlink_ext_ack;

/**
 * struct lp_boot - a boot entry
 * @ref: one while it is listed, one for each look
 * @node: in the list of entries; lp_boot_lock of boot.c
 * @id: grows along the list
 * @patch: referenced
 * @flags: enum lpatch_boot_flags
 * @registrar: the thread that is registering the consumers, which is not to be patched thereby
 * @removed: looks to come do nothing
 * @lock: covers the counters and the message
 * @looks: to come; lp_starts_lock
 * @applied: processes that were patched
 * @failed: processes that could not be
 * @message: why the last one could not
 * @nr_probes: how many of @probes are registered
 * @probes: one for each image
 */
struct lp_boot {
	struct kref ref;
	struct list_head node;
	long id;
	struct lp_patch *patch;
	u32 flags;
	struct task_struct *registrar;
	bool removed;
	struct mutex lock; /* see above */
	struct list_head looks;
	u64 applied;
	u64 failed;
	char message[LPATCH_MESSAGE_MAX + 1];
	u32 nr_probes;
	struct lp_boot_probe {
		struct uprobe_consumer consumer;
		struct uprobe *uprobe;
		struct lp_boot *boot;
	} probes[];
};

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
void lp_boot_put(struct lp_boot *boot);
void lp_boot_failed(struct lp_boot *boot, const char *message);
void lp_boot_outcome(struct lp_op *op);

#endif
