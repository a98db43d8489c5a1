/* SPDX-License-Identifier: GPL-2.0 */
#ifndef LPATCH_PATCH_H
#define LPATCH_PATCH_H

#include <linux/kref.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/types.h>

#include "sum.h"
#include "uapi/lpatch.h"

struct file;
struct inode;

struct lp_image {
	char *name;
	struct file *file; /* pins the inode and its mount */
	const struct inode *inode; /* on overlayfs the real one, as in vma->vm_file */
	u32 flags;
	u64 text_offset;
	u64 text_vaddr;
	u64 span_start;
	u64 span_end;
	u8 build_id[LPATCH_BUILD_ID_MAX]; /* zero-padded */
	u8 build_id_len; /* 0 if there is none */
};

struct lp_segment {
	u64 offset;
	u64 vaddr;
	u64 size;
	u32 prot;
};

struct lp_site {
	char *symbol;
	u64 vaddr;
	u64 target;
	u32 kind;
	u32 image;
	u8 len;
	u8 old_bytes[LPATCH_SITE_MAX];
	u8 new_bytes[LPATCH_SITE_MAX];
};

struct lp_function {
	char *symbol;
	u64 start;
	u64 end;
	u32 image;
};

struct lp_signature;

/**
 * struct lp_patch - a patch object, as a client transferred it
 * @ref: held by clients, records of targets, and operations in progress
 * @node: in the list of sealed objects; lp_patch_lock
 * @transfer: protects the tables until @sealed; after that nothing changes
 * @sealed: the object is complete and was checked
 * @hash: identifies it; chosen by the client
 * @content: SHA-256 of @file, without a verified signature; computed when it is sealed, all zeros
 *	if the kernel has no SHA-256 or the file is too large
 * @name: for messages
 * @file: the patch file; writes to it are denied
 * @signature: of @file, the copy that was verified, by a trusted key; NULL if there is none
 * @let_pass: threads may finish in code from before the patch was applied or restored, in some
 *	target. Set in a stop window and never cleared. It is set before the threads are released,
 *	so before any of them can fork; the exchange in lpatch_freeze_commit() orders the write. So
 *	it is visible where a child is found
 * @size: bytes from vaddr 0 to the end of the last segment
 * @pin: vaddr of the word that forbids an unload, or 0
 * @images: the files to patch
 * @segments: parts of @file to map
 * @sites: sites to overwrite
 * @functions: functions that must not be in use meanwhile
 * @fixups: values to compute when the patch is mapped
 * @nr_images: number of @images
 * @nr_segments: number of @segments
 * @nr_sites: number of @sites
 * @nr_values: number of variables that the sites of kind bytes belong to
 * @nr_functions: number of @functions
 * @nr_fixups: number of @fixups
 */
struct lp_patch {
	struct kref ref;
	struct list_head node;
	struct mutex transfer; /* see above */
	bool sealed;
	bool let_pass;
	u8 hash[LPATCH_HASH_LEN];
	u8 content[LP_SUM_LEN];
	char name[LPATCH_NAME_MAX + 1];
	struct file *file;
	struct lp_signature *signature;
	u64 size;
	u64 pin;
	struct lp_image *images;
	struct lp_segment *segments;
	struct lp_site *sites;
	struct lp_function *functions;
	struct lpatch_fixup *fixups;
	u32 nr_images;
	u32 nr_segments;
	u32 nr_sites;
	u32 nr_values;
	u32 nr_functions;
	u32 nr_fixups;
};

struct netlink_ext_ack;
struct nlattr;

struct lp_patch *lpatch_patch_new(u32 portid, const char *name, const u8 *hash, struct file *file,
				  u64 pin, u32 *id);
struct lp_patch *lpatch_patch_hold(u32 portid, const u8 *hash);
struct lp_patch *lpatch_patch_by_id(u32 portid, u32 id);
struct lp_patch *lpatch_patch_by_hash(const u8 *hash);
int lpatch_patch_add(struct lp_patch *patch, const struct nlattr *head, int len,
		     struct netlink_ext_ack *extack);
const char *lpatch_patch_check(struct lp_patch *patch);
int lpatch_patch_seal(struct lp_patch *patch, struct netlink_ext_ack *extack);
void lpatch_patch_get(struct lp_patch *patch);
void lpatch_patch_put(struct lp_patch *patch);
void lpatch_patch_release_client(u32 portid);
unsigned int lpatch_patch_count(void);

#endif
