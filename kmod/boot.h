/* SPDX-License-Identifier: GPL-2.0 */
#ifndef LPATCH_BOOT_H
#define LPATCH_BOOT_H

#include <linux/kref.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/rcupdate.h>
#include <linux/types.h>

#include "uapi/lpatch.h"

struct inode;
struct lp_patch;
struct netlink_ext_ack;
struct vm_area_struct;

/**
 * struct lp_boot - a boot entry
 * @ref: one reference while it is listed, one for each start that uses it
 * @rcu: for kfree_rcu()
 * @node: in the list of entries; protected by lp_boot_lock of boot.c
 * @id: grows along the list
 * @patch: referenced
 * @flags: enum lpatch_boot_flags
 * @since: for lpatch_history_is_known()
 * @removed: the entry has been removed and is not applied any more
 * @lock: protects the counters and the message
 * @applied: number of processes that were patched
 * @failed: number of processes that could not be patched
 * @message: why the last process could not be patched
 * @images: one for each image of the patch
 * @images.node: in the hash by inode; protected by lp_boot_lock
 * @images.inode: of the image
 * @images.text: page offset of the first page of code in the file
 */
struct lp_boot {
	struct kref ref;
	struct rcu_head rcu;
	struct list_head node;
	long id;
	struct lp_patch *patch;
	u32 flags;
	u64 since;
	bool removed;
	struct mutex lock; /* see above */
	u64 applied;
	u64 failed;
	char message[LPATCH_MESSAGE_MAX + 1];
	struct lp_boot_image {
		struct hlist_node node;
		const struct inode *inode;
		pgoff_t text;
	} images[];
};

/* A copy of a boot entry for lpatch_boot_each(). */
struct lp_boot_info {
	const struct lp_patch *patch;
	u32 flags;
	u64 applied;
	u64 failed;
	char message[LPATCH_MESSAGE_MAX + 1];
};

int lpatch_boot_add(struct lp_patch *patch, u32 flags, struct netlink_ext_ack *extack);
int lpatch_boot_remove(const u8 *hash);
int lpatch_boot_each(long *position, int (*fn)(const struct lp_boot_info *boot, void *arg), void *arg);
bool lpatch_boot_wants(struct vm_area_struct *vma, bool *text);
unsigned int lpatch_boot_collect(bool (*wanted)(const struct inode *inode, void *arg), void *arg,
				 struct lp_boot **list, unsigned int max);
void lpatch_boot_put(struct lp_boot *boot);
void lpatch_boot_failed(struct lp_boot *boot, const char *message);
void lpatch_boot_applied(struct lp_boot *boot);

#endif
