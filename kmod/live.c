// SPDX-License-Identifier: GPL-2.0
/*
 * Compares a target's memory with its records. The program may unmap an image, map another file in
 * its place, drop the private pages that hold the new bytes (MADV_DONTNEED), or unmap the patch. A
 * child has the memory of its parent at the moment of the fork. Comparing bytes is not enough: it
 * also matters which file is mapped at an address, from which offset.
 */

#include <linux/dcache.h>
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/mmap_lock.h>

#include "layer.h"
#include "live.h"
#include "patch.h"
#include "site.h"
#include "target.h"

/* Return: the VMA that maps @inode at @addr with file offset @offset, or NULL. mmap_lock held. */
static struct vm_area_struct *lp_vma_of(struct mm_struct *mm, unsigned long addr,
					const struct inode *inode, u64 offset)
{
	struct vm_area_struct *vma = find_vma(mm, addr);

	if (!vma || vma->vm_start > addr || !vma->vm_file || file_inode(vma->vm_file) != inode)
		return NULL;
	if (addr - vma->vm_start + ((u64)vma->vm_pgoff << PAGE_SHIFT) != offset)
		return NULL;
	return vma;
}

static bool lp_live_is_segment(struct mm_struct *mm, const struct lp_record *record,
			       const struct lp_segment *segment)
{
	const struct inode *inode = d_real_inode(record->patch->file->f_path.dentry);
	unsigned long start = record->base + segment->vaddr, end = start + segment->size, at;
	struct vm_area_struct *vma;

	for (at = start; at < end; at = vma->vm_end) {
		vma = lp_vma_of(mm, at, inode, segment->offset + at - start);
		if (!vma)
			return false;
	}
	return true;
}

/**
 * lpatch_live_is_in_patch() - are bytes of a loaded patch still in the original mapping?
 * @mm: the target
 * @patch: the patch
 * @base: where it was loaded
 * @addr: of the first byte
 * @len: number of bytes
 *
 * Context: mmap_lock held.
 */
bool lpatch_live_is_in_patch(struct mm_struct *mm, const struct lp_patch *patch, unsigned long base,
			     unsigned long addr, size_t len)
{
	const struct inode *inode = d_real_inode(patch->file->f_path.dentry);
	u64 vaddr = addr - base;
	u32 i;

	for (i = 0; i < patch->nr_segments; i++) {
		const struct lp_segment *segment = &patch->segments[i];
		u64 offset = segment->offset + vaddr - segment->vaddr;

		if (vaddr < segment->vaddr || vaddr + len - segment->vaddr > segment->size)
			continue;
		return lp_vma_of(mm, addr, inode, offset) &&
		       lp_vma_of(mm, addr + len - 1, inode, offset + len - 1);
	}
	return false;
}

/**
 * lpatch_live_is_patch() - is the whole patch still mapped where it was loaded?
 * @mm: the target
 * @record: of the patch
 *
 * Context: mmap_lock held.
 */
bool lpatch_live_is_patch(struct mm_struct *mm, const struct lp_record *record)
{
	u32 i;

	for (i = 0; i < record->patch->nr_segments; i++)
		if (!lp_live_is_segment(mm, record, &record->patch->segments[i]))
			return false;
	return true;
}

/**
 * lpatch_live_is_partial() - is only a part of a patch mapped, which no thread ever executed?
 * @mm: the target
 * @record: of the patch
 *
 * Segments are mapped and unmapped one by one. Either may be interrupted, and a child that is
 * forked in between has only some of the segments. Whatever is mapped in place of the others does
 * not belong to the patch. No thread executes or executed the patch then, because it was not
 * applied, and no thread holds a pointer to it.
 *
 * Context: mmap_lock held.
 */
bool lpatch_live_is_partial(struct mm_struct *mm, const struct lp_record *record)
{
	return record->incomplete && record->state != LPATCH_STATE_APPLIED &&
	       !lpatch_live_is_patch(mm, record);
}

/**
 * lpatch_live_is_site() - is a site still in the mapping of its image?
 * @mm: the target
 * @patch: the patch
 * @site: one of its sites
 * @bases: where the images were when the patch was loaded
 *
 * The text of the image must be mapped where it was, and the site must be in a mapping of that
 * file. For code, the file offset must match, too. Uninitialized variables (.bss) are in anonymous
 * memory.
 *
 * Context: mmap_lock held.
 */
bool lpatch_live_is_site(struct mm_struct *mm, const struct lp_patch *patch, const struct lp_site *site,
			 const unsigned long *bases)
{
	const struct lp_image *image = &patch->images[site->image];
	unsigned long at = bases[site->image] + site->vaddr, last = at + site->len - 1;
	struct vm_area_struct *vma;

	if (!lp_vma_of(mm, bases[site->image] + image->text_vaddr, image->inode,
		       image->text_offset))
		return false;
	for (;;) {
		vma = find_vma(mm, at);
		if (!vma || vma->vm_start > at)
			return false;
		if (site->kind == LPATCH_SITE_KIND_JUMP) {
			u64 vaddr = at - bases[site->image];

			if (!lp_vma_of(mm, at, image->inode,
				       vaddr - image->text_vaddr + image->text_offset))
				return false;
		} else if (vma->vm_file && file_inode(vma->vm_file) != image->inode) {
			return false;
		}
		if (vma->vm_end > last)
			return true;
		at = vma->vm_end;
	}
}

enum lp_found {
	LP_FOUND_GONE,
	LP_FOUND_NEW,
	LP_FOUND_OLD,
	LP_FOUND_FOREIGN,
	LP_FOUND_MISSING,
};

static enum lp_found lp_look_at_site(const struct lp_target *target,
				     const struct lp_record *record, const struct lp_site *site)
{
	unsigned long addr = lpatch_layer_addr(record, site);
	u8 found[LPATCH_SITE_MAX];
	int ret;

	if (!lpatch_live_is_site(target->mm, record->patch, site, record->bases))
		return LP_FOUND_GONE;
	ret = lpatch_peek(target->mm, addr, found, site->len, true);
	if (ret)
		return ret == -EAGAIN ? LP_FOUND_MISSING : LP_FOUND_FOREIGN;
	if (lpatch_layer_holds(target, record, site, found))
		return LP_FOUND_NEW;
	if (!memcmp(found, site->old_bytes, site->len) ||
	    lpatch_layer_owner(target, addr, site->len, found))
		return LP_FOUND_OLD;
	return LP_FOUND_FOREIGN;
}

static void lp_look_at_sites(const struct lp_target *target, const struct lp_record *record,
			     struct lp_live *live)
{
	const struct lp_patch *patch = record->patch;
	u32 i;

	for (i = 0; i < patch->nr_sites; i++) {
		const struct lp_site *site = &patch->sites[i];
		enum lp_found found = lp_look_at_site(target, record, site);

		if (found == LP_FOUND_GONE)
			live->gone = live->gone ?: site;
		else if (found == LP_FOUND_OLD)
			live->lost = live->lost ?: site;
		else if (found == LP_FOUND_FOREIGN)
			live->foreign = live->foreign ?: site;
		else if (found == LP_FOUND_MISSING)
			live->missing = live->missing ?: site;
	}
}

/**
 * lpatch_live_look() - check the sites of a patch in a target, and its mapping
 * @target: its lock held
 * @record: of the patch
 * @live: set to the result
 *
 * Does not wait for pages: a page may be served by a server that does not answer, and meanwhile
 * other tasks would wait for mmap_lock. Missing pages are requested, so that a later call finds
 * them.
 *
 * Context: mmap_lock of the target held for read.
 * Return: 0, or -EAGAIN if @live->missing is not in memory yet.
 */
int lpatch_live_look(const struct lp_target *target, const struct lp_record *record, struct lp_live *live)
{
	*live = (struct lp_live){};
	live->partial = lpatch_live_is_partial(target->mm, record);
	live->unmapped = !live->partial && !lpatch_live_is_patch(target->mm, record);
	lp_look_at_sites(target, record, live);
	return live->missing ? -EAGAIN : 0;
}

/* Does the memory differ from the record? */
bool lpatch_live_drifted(const struct lp_record *record, const struct lp_live *live)
{
	return live->unmapped || live->gone ||
	       (record->state == LPATCH_STATE_APPLIED && (live->lost || live->foreign));
}

/**
 * lpatch_live_say() - describe how the memory differs from the record, and what can be done
 * @target: the target
 * @record: of a patch that drifted
 * @live: the result of lpatch_live_look()
 * @message: set to a sentence
 * @size: bytes of @message
 * @function: set to the symbol of the site in question, or NULL
 *
 * Return: the code that an operation would be refused with.
 */
u32 lpatch_live_say(const struct lp_target *target, const struct lp_record *record,
		    const struct lp_live *live, char *message, size_t size, const char **function)
{
	const struct lp_patch *patch = record->patch;
	const struct lp_site *site = live->gone ?: live->foreign ?: live->lost;

	*function = site && !live->unmapped ? site->symbol : NULL;
	if (live->unmapped) {
		scnprintf(message, size,
			  "the program unmapped or replaced patch %s in its memory; restore and unload it",
			  patch->name);
		return LPATCH_REFUSAL_PATCH_MISSING;
	}
	if (live->gone) {
		scnprintf(message, size,
			  "%s, which has %s, is no longer mapped where it was patched; restore and unload patch %s",
			  patch->images[site->image].name, site->symbol, patch->name);
		return LPATCH_REFUSAL_IMAGE_MOVED;
	}
	if (live->foreign)
		scnprintf(message, size,
			  "%s has neither its old bytes nor those of patch %s: %s",
			  site->symbol, patch->name,
			  site->kind == LPATCH_SITE_KIND_JUMP ? "a breakpoint or another tool" :
								"the program changed it since");
	else
		scnprintf(message, size,
			  "%s has its old bytes again: the program dropped the patched page; apply patch %s again, or restore it",
			  site->symbol, patch->name);
	return LPATCH_REFUSAL_BYTES_DIFFER;
}
