// SPDX-License-Identifier: GPL-2.0
/*
 * Stacked patches. Several patches may be applied at one site. The bytes in memory are those of the
 * patch that was applied last. Its record keeps the bytes under it, which belong to the patch
 * before, or to the image. Restore is last in, first out, so the records at each site form a stack,
 * from the bytes in memory down to the bytes of the image.
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

/* Return: the site of a record at an address, or NULL. Sites are sorted by image and address. */
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

/*
 * Sets @bytes to the bytes of a site when the patch is applied. Return: false if a jump is out of
 * reach, which a load has excluded.
 */
bool lpatch_layer_bytes(const struct lp_record *record, const struct lp_site *site, u8 *bytes)
{
	if (site->kind == LPATCH_SITE_KIND_JUMP)
		return lpatch_arch_make_jump(bytes, lpatch_layer_addr(record, site),
					     record->base + site->target);
	memcpy(bytes, site->new_bytes, site->len);
	return true;
}

/*
 * Return: the record that has these bytes at a site of @len bytes, the one that was applied last if
 * there are several, or NULL.
 */
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
 * lpatch_layer_holds() - is a patch in the stack of applied patches at one of its sites?
 * @target: its lock held
 * @record: of the patch
 * @site: of the patch
 * @found: the bytes in memory, the top of the stack
 *
 * Ignores the state in the records. It is used to find out the state of a child, whose memory is a
 * snapshot from the moment of the fork.
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
	/*
	 * Each round descends one layer. The bound prevents an endless loop if layers have equal
	 * bytes.
	 */
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

/*
 * Return: how many patches are applied to the target up to this one, in the order of application.
 */
unsigned int lpatch_layer_nr(const struct lp_target *target, const struct lp_record *record)
{
	const struct lp_record *other;
	unsigned int nr = 0;

	list_for_each_entry(other, &target->records, node)
		nr += other->state == LPATCH_STATE_APPLIED &&
		      other->order <= record->order;
	return nr;
}
