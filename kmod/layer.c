// SPDX-License-Identifier: GPL-2.0
/*
 * Patches upon patches. Several may be applied at one site: the bytes there are those of the one
 * that was applied last, and its record keeps what was under it, the bytes of the one before, or of
 * the image. Restore is last in, first out, so at each site these records are a stack, from the
 * bytes that are in memory down to those of the image.
 */

#include <linux/list.h>
#include <linux/string.h>

#include "arch.h"
#include "layer.h"
#include "patch.h"
#include "target.h"

unsigned long lpatch_layer_addr(const struct lp_record *record, const struct lp_site *site)
{
	return record->bases[site->image] + site->vaddr;
}

/* The site of a record at an address, or NULL. Sites are sorted by image and address. */
const struct lp_site *lpatch_layer_site(const struct lp_record *record, unsigned long addr)
{
	const struct lp_patch *patch = record->patch;
	u32 image;

	for (image = 0; image < patch->nr_images; image++) {
		u32 lo = 0, hi = patch->nr_sites;

		while (lo < hi) {
			u32 mid = lo + (hi - lo) / 2;
			const struct lp_site *site = &patch->sites[mid];

			if (site->image < image || (site->image == image &&
						    lpatch_layer_addr(record, site) < addr))
				lo = mid + 1;
			else
				hi = mid;
		}
		if (lo < patch->nr_sites && patch->sites[lo].image == image &&
		    lpatch_layer_addr(record, &patch->sites[lo]) == addr)
			return &patch->sites[lo];
	}
	return NULL;
}

/* What a site has when the patch is applied. False if a jump does not reach, which load saw. */
bool lpatch_layer_bytes(const struct lp_record *record, const struct lp_site *site, u8 *bytes)
{
	if (site->kind == LPATCH_SITE_KIND_JUMP)
		return lpatch_arch_make_jump(bytes, lpatch_layer_addr(record, site),
					     record->base + site->target);
	memcpy(bytes, site->new_bytes, site->len);
	return true;
}

/* Which record has these bytes at a site of @len bytes? The one that was applied last, or NULL. */
const struct lp_record *lpatch_layer_owner(const struct lp_target *target, unsigned long addr, u8 len,
					   const u8 *found)
{
	const struct lp_record *record, *owner = NULL;
	u8 bytes[LPATCH_SITE_MAX];

	list_for_each_entry(record, &target->records, node) {
		const struct lp_site *site = lpatch_layer_site(record, addr);

		if (!site || site->len != len ||
		    !lpatch_layer_bytes(record, site, bytes) || memcmp(bytes, found, len))
			continue;
		if (!owner || record->order > owner->order)
			owner = record;
	}
	return owner;
}

/**
 * lpatch_layer_holds() - is a patch in the stack of those that are applied at one of its sites?
 * @target: its lock held
 * @record: of the patch
 * @site: of the patch
 * @found: the bytes that are in memory there, the top of the stack
 *
 * What the records say of their state is not asked: that is what this tells of a child, whose
 * memory is that of the moment of the fork.
 */
bool lpatch_layer_holds(const struct lp_target *target, const struct lp_record *record,
			const struct lp_site *site, const u8 *found)
{
	unsigned long addr = lpatch_layer_addr(record, site);
	const struct lp_record *owner;
	u8 bytes[LPATCH_SITE_MAX];
	unsigned int rounds = 0;

	if (!lpatch_layer_bytes(record, site, bytes))
		return false;
	list_for_each_entry(owner, &target->records, node)
		rounds++;
	/* Each round goes one down; values that are alike must not make it go round in circles. */
	while (rounds--) {
		if (!memcmp(bytes, found, site->len))
			return true;
		owner = lpatch_layer_owner(target, addr, site->len, found);
		if (!owner)
			return false;
		found = owner->under[lpatch_layer_site(owner, addr) - owner->patch->sites];
	}
	return false;
}

/* How many patches are applied to the target up to this one, in the order in which they were. */
unsigned int lpatch_layer_nr(const struct lp_target *target, const struct lp_record *record)
{
	const struct lp_record *other;
	unsigned int nr = 0;

	list_for_each_entry(other, &target->records, node)
		nr += other->state == LPATCH_STATE_APPLIED &&
		      other->order <= record->order;
	return nr;
}
