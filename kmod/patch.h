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
	struct file *file; /* keeps the inode and its mount */
	const struct inode *inode; /* the real one below an overlay: what vma->vm_file has */
	u32 flags;
	u64 text_offset;
	u64 text_vaddr;
	u64 span_start;
	u64 span_end;
	u8 build_id[LPATCH_BUILD_ID_MAX]; /* zeroed beyond */
	u8 build_id_len; /* 0: it has none */
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
 * @ref: holds by clients, records of targets, operations under way
 * @node: in the list of sealed objects; lp_patch_lock
 * @transfer: covers the tables until @sealed, after which nothing changes
 * @sealed: it is complete and was checked
 * @hash: names it; the client chose it
 * @content: SHA-256 of @file, without a signature that was verified; made when it was sealed, zeros where the kernel has
 *	none
 * @name: for people
 * @file: the patch file, which nobody may write to
 * @signature: by a trusted key, of @file, the copy that was verified; NULL if there is none
 * @let_pass: threads were let finish in code from before it was applied or restored, in some target.
 *	      Set once and for all, in a stop window, before its threads are released, so before any of
 *	      them can fork: the exchange in lpatch_freeze_commit() orders it. So who finds a child sees it
 * @size: bytes from vaddr 0 to the end of the last segment
 * @pin: 0, or where the word is that forbids an unload
 * @images: the files that it is for
 * @segments: what to map of @file
 * @sites: what to overwrite
 * @functions: what may not be in use then
 * @fixups: what to compute when it is mapped
 * @nr_images: how many @images
 * @nr_segments: how many @segments
 * @nr_sites: how many @sites
 * @nr_values: variables that the sites of kind bytes are parts of
 * @nr_functions: how many @functions
 * @nr_fixups: how many @fixups
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
