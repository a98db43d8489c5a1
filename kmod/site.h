/* SPDX-License-Identifier: GPL-2.0 */
#ifndef LPATCH_SITE_H
#define LPATCH_SITE_H

#include <linux/types.h>

#include "uapi/lpatch.h"

struct lp_record;
struct lp_site;
struct mm_struct;
struct page;

/**
 * struct lp_place - a site in one target
 * @addr: of the first byte
 * @len: bytes, at most LPATCH_SITE_MAX; 0 if the site is gone and is skipped
 * @from: the expected bytes
 * @to: the bytes to write
 * @under: the bytes after a restore of the patch of the site
 * @site: the site
 * @record: of the patch of the site, if it is not the operation's own patch
 * @order: position of the patch in the stack of applied patches
 * @replaced: the operation restores a patch that has a site here
 * @pages: the pinned pages, two if the place straddles a page boundary
 */
struct lp_place {
	unsigned long addr;
	u8 len;
	u8 from[LPATCH_SITE_MAX];
	u8 to[LPATCH_SITE_MAX];
	u8 under[LPATCH_SITE_MAX];
	const struct lp_site *site;
	const struct lp_record *record;
	u64 order;
	bool replaced;
	struct page *pages[2];
};

int lpatch_place_fault_in(struct mm_struct *mm, const struct lp_place *place, bool write);
int lpatch_place_pin(struct mm_struct *mm, struct lp_place *place);
void lpatch_place_unpin(struct lp_place *place);
int lpatch_place_read(const struct lp_place *place, u8 *found);
void lpatch_place_write(const struct lp_place *place);
int lpatch_peek(struct mm_struct *mm, unsigned long addr, void *bytes, size_t len, bool may_fault);
int lpatch_poke(struct mm_struct *mm, struct lp_place *place,
		bool (*own)(const struct lp_place *place, const void *arg), const void *arg);

#endif
