// SPDX-License-Identifier: GPL-2.0
/*
 * Maps a patch into a target: the segments of the patch file itself, private, with their final
 * protection from the start, so that /proc/PID/maps names the file and tools find its symbols and
 * unwind data. The fix-ups are written with FOLL_FORCE before any thread can execute the code: no
 * site jumps to it yet.
 *
 * Everything here runs in a kthread that uses the target's mm, or in a thread of the target. No
 * thread is stopped.
 */

#include <linux/cred.h>
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/mman.h>

#include "compat.h"
#include "live.h"
#include "load.h"
#include "op.h"
#include "patch.h"
#include "site.h"
#include "target.h"

/* Reach of a rel32, minus room for an addend. */
#define LP_REACH ((1UL << 31) - (1UL << 20))

/* Nothing is mapped below this address: the usual mmap_min_addr. */
#define LP_LOWEST 0x10000UL

/* Gap between the patch and its neighbours, so that running off its end hits nothing. */
#define LP_GUARD PAGE_SIZE

/*
 * Preferred distance from an image. A stack contains stale pointers into the image whose low bytes
 * were overwritten, for example by a short string. With a patch closer by, such a word could look
 * like an address of the patch and make its thread appear to be in the patch (seen with two bytes).
 */
#define LP_DISTANCE (16UL << 20)

/* How often to retry when the target maps something into the chosen gap. */
#define LP_MAP_TRIES 8

/*
 * Sets @base to the address of the image's link-time address 0. Return: false if @vma does not map
 * the text of the image.
 */
static bool lp_image_base(const struct lp_image *image, struct vm_area_struct *vma,
			  unsigned long *base)
{
	pgoff_t pgoff = image->text_offset >> PAGE_SHIFT;

	if (!vma->vm_file || !(vma->vm_flags & VM_EXEC) || file_inode(vma->vm_file) != image->inode)
		return false;
	if (pgoff < vma->vm_pgoff || pgoff - vma->vm_pgoff >= vma_pages(vma))
		return false;
	*base = vma->vm_start + ((pgoff - vma->vm_pgoff) << PAGE_SHIFT) - image->text_vaddr;
	return true;
}

/**
 * lpatch_load_find_images() - find where the images of the patch are mapped
 * @op: bases are set
 *
 * Context: mmap_lock of the target held.
 * Return: 0, or a refusal.
 */
int lpatch_load_find_images(struct lp_op *op)
{
	VMA_ITERATOR(vmi, op->target->mm, 0);
	const struct lp_patch *patch = op->patch;
	struct vm_area_struct *vma;
	u32 i, found = 0;
	unsigned long base;

	for_each_vma(vmi, vma) {
		for (i = 0; i < patch->nr_images; i++) {
			if (!lp_image_base(&patch->images[i], vma, &base))
				continue;
			if ((found & BIT(i)) && op->bases[i] != base)
				return lpatch_refuse(&op->outcome, LPATCH_REFUSAL_IMAGE_TWICE,
						     "%s is mapped more than once in %s[%u], and it is not known which one to patch",
						     patch->images[i].name, op->target->comm, op->request->pid);
			op->bases[i] = base;
			found |= BIT(i);
		}
	}
	for (i = 0; i < patch->nr_images; i++)
		if (!(found & BIT(i)))
			return lpatch_refuse(&op->outcome, LPATCH_REFUSAL_IMAGE_MISSING,
					     "%s is not mapped executable in %s[%u]",
					     patch->images[i].name, op->target->comm, op->request->pid);
	return 0;
}

/*
 * Return: the highest address of a gap of @size in [lo, hi), or 0. Never right below a stack that
 * grows down.
 */
static unsigned long lp_highest_gap(struct mm_struct *mm, unsigned long lo, unsigned long hi,
				    unsigned long size, unsigned long distance)
{
	VMA_ITERATOR(vmi, mm, lo);
	unsigned long at = lo, best = 0;

	while (at < hi) {
		struct vm_area_struct *vma = vma_next(&vmi);
		unsigned long end = vma ? min(vma->vm_start, hi) : hi;
		bool usable = !vma || vma->vm_start >= hi || !(vma->vm_flags & VM_GROWSDOWN);

		if (usable && end > at && end - at >= size + distance + LP_GUARD)
			best = end - distance - size;
		if (!vma)
			break;
		at = vma->vm_end;
	}
	return best;
}

/*
 * Finds the range [lo, hi) from which all images that must be near are within reach, and vice
 * versa, and the lowest start and the highest end of these images.
 */
static void lp_reach(const struct lp_patch *patch, const unsigned long *bases, unsigned long *lo,
		     unsigned long *hi, unsigned long *below, unsigned long *above)
{
	u32 i;

	*lo = LP_LOWEST;
	*hi = TASK_SIZE_MAX;
	*below = TASK_SIZE_MAX;
	*above = LP_LOWEST;
	for (i = 0; i < patch->nr_images; i++) {
		const struct lp_image *image = &patch->images[i];
		unsigned long start = bases[i] + image->span_start;
		unsigned long end = bases[i] + image->span_end;

		/* Code for a fixed address may hold addresses of the patch in 31 bits. */
		if (image->flags & LPATCH_IMAGE_FLAGS_FIXED)
			*hi = min(*hi, 1UL << 31);
		if (!(image->flags & LPATCH_IMAGE_FLAGS_NEAR))
			continue;
		if (end > LP_REACH)
			*lo = max(*lo, end - LP_REACH);
		*hi = min(*hi, start + LP_REACH);
		*below = min(*below, start);
		*above = max(*above, end);
	}
}

/*
 * Chooses where the patch is mapped: below the image if possible, since the heap grows above it.
 * mmap_lock of the target held. Return: 0, or a refusal.
 */
static int lp_load_find_gap(struct lp_op *op)
{
	struct mm_struct *mm = op->target->mm;
	unsigned long lo, hi, below, above;

	lp_reach(op->patch, op->bases, &lo, &hi, &below, &above);
	op->base = lp_highest_gap(mm, lo, min(hi, below), op->patch->size, LP_DISTANCE);
	if (!op->base)
		op->base = lp_highest_gap(mm, lo, min(hi, below), op->patch->size, LP_GUARD);
	if (!op->base)
		op->base = lp_highest_gap(mm, max(lo, above), hi, op->patch->size, LP_GUARD);
	if (op->base)
		return 0;
	return lpatch_refuse(&op->outcome, LPATCH_REFUSAL_NO_GAP,
			     "%s[%u] has no %llu free bytes of address space within 2 GiB of %s",
			     op->target->comm, op->request->pid, op->patch->size, op->patch->images[0].name);
}

static unsigned long lp_segment_prot(const struct lp_segment *segment)
{
	return (segment->prot & LPATCH_SEGMENT_PROT_READ ? PROT_READ : 0) |
	       (segment->prot & LPATCH_SEGMENT_PROT_WRITE ? PROT_WRITE : 0) |
	       (segment->prot & LPATCH_SEGMENT_PROT_EXEC ? PROT_EXEC : 0);
}

/*
 * Return: 0 or a negative errno; -EEXIST if the gap is not free any more. Even then some segments
 * may be mapped.
 */
static int lp_map_segments(const struct lp_patch *patch, unsigned long base)
{
	const struct cred *old;
	unsigned long at = 0;
	u32 i;

	/*
	 * Security modules check the credentials of current. Use those of the client that provided
	 * the patch, whichever process is patched.
	 */
	old = override_creds(patch->file->f_cred);
	for (i = 0; !IS_ERR_VALUE(at) && i < patch->nr_segments; i++) {
		const struct lp_segment *segment = &patch->segments[i];

		at = vm_mmap(patch->file, base + segment->vaddr, segment->size,
			     lp_segment_prot(segment), MAP_PRIVATE | MAP_FIXED_NOREPLACE,
			     segment->offset);
	}
	revert_creds(old);
	return IS_ERR_VALUE(at) ? (long)at : 0;
}

/*
 * Is a place still in the patch, and not in something else that the target mapped there? mmap_lock
 * held.
 */
static bool lp_load_is_own(const struct lp_place *place, const void *arg)
{
	const struct lp_op *op = arg;

	return lpatch_live_is_in_patch(op->target->mm, op->patch, op->base, place->addr, place->len);
}

/* Return: 0, -ERANGE, or an error of lpatch_poke(). */
static int lp_apply_fixup(const struct lp_op *op, const struct lpatch_fixup *fixup)
{
	struct lp_place place = { .addr = op->base + fixup->place };
	u64 value = (fixup->image < 0 ? op->base : op->bases[fixup->image]) + fixup->addend;
	s64 rel = value - place.addr;

	switch (fixup->kind) {
	case LPATCH_FIXUP_KIND_ABS64:
		place.len = sizeof(u64);
		put_unaligned_le64(value, place.to);
		break;
	case LPATCH_FIXUP_KIND_ABS32:
		if (value >> 31)
			return -ERANGE;
		place.len = sizeof(u32);
		put_unaligned_le32(value, place.to);
		break;
	default:
		if (rel != (s32)rel)
			return -ERANGE;
		place.len = sizeof(u32);
		put_unaligned_le32(rel, place.to);
	}
	return lpatch_poke(op->target->mm, &place, lp_load_is_own, op);
}

/* Applies the fix-ups, which completes the patch. */
static int lp_apply_fixups(struct lp_op *op)
{
	const struct lp_patch *patch = op->patch;
	int ret;
	u32 i;

	for (i = 0; i < patch->nr_fixups; i++) {
		const struct lpatch_fixup *fixup = &patch->fixups[i];

		ret = lpatch_op_wait_begin(op) ? lp_apply_fixup(op, fixup) : -EINTR;
		lpatch_op_wait_end(op);
		if (ret == -ERANGE)
			return lpatch_refuse(&op->outcome, LPATCH_REFUSAL_FIXUP_RANGE,
					     "the fix-up at %#llx of the patch does not reach %s",
					     fixup->place,
					     fixup->image < 0 ? "the patch" : patch->images[fixup->image].name);
		if (ret && lpatch_op_is_canceled(op))
			return lpatch_refuse_canceled(&op->outcome);
		if (ret == -ESTALE)
			return lpatch_refuse(&op->outcome, LPATCH_REFUSAL_PATCH_MISSING,
					     "%s[%u] unmapped or replaced patch %s in its memory while it was loaded; apply it again",
					     op->target->comm, op->request->pid, patch->name);
		if (ret)
			return lpatch_refuse(&op->outcome, LPATCH_REFUSAL_MAP_FAILED,
					     "writing the fix-up at %#llx of the patch into %s[%u] failed with error %d",
					     fixup->place, op->target->comm, op->request->pid, -ret);
	}
	op->record->incomplete = false;
	op->record->change = op->change;
	return 0;
}

static void lp_load_forget(struct lp_op *op)
{
	lpatch_record_del(op->target, op->record);
	op->record = NULL;
}

/**
 * lpatch_load_locate() - find the images, and choose where the patch is mapped
 * @op: bases and base are set
 *
 * Return: 0, or a refusal.
 */
int lpatch_load_locate(struct lp_op *op)
{
	int ret = lpatch_op_lock_memory(op, &op->outcome);

	if (ret)
		return ret;
	ret = lpatch_load_find_images(op) ?: lp_load_find_gap(op);
	mmap_read_unlock(op->target->mm);
	return ret;
}

/**
 * lpatch_load_map() - map the patch into the target
 * @op: bases, base and record are set
 *
 * Return: 0, or a refusal with nothing changed.
 */
int lpatch_load_map(struct lp_op *op)
{
	int ret, tries = LP_MAP_TRIES;

	do {
		ret = lpatch_load_locate(op);
		if (ret)
			return ret;
		/*
		 * Add the record before the first segment: a fork copies it with the segments
		 * mapped so far.
		 */
		op->record = lpatch_record_add(op->target, op->patch, op->base, op->bases);
		if (!op->record)
			return lpatch_refuse(&op->outcome, LPATCH_REFUSAL_NO_MEMORY,
					     "there is no memory for the record of the patch");
		ret = lpatch_op_wait_begin(op) ? lp_map_segments(op->patch, op->base) : -EINTR;
		lpatch_op_wait_end(op);
		if (ret && lpatch_load_unmap(op))
			return -lpatch_refusal_errno(op->outcome.refusal);
	} while (ret == -EEXIST && --tries);
	if (ret && lpatch_op_is_canceled(op))
		return lpatch_refuse_canceled(&op->outcome);
	if (ret)
		return lpatch_refuse(&op->outcome, LPATCH_REFUSAL_MAP_FAILED,
				     "mapping the patch file into %s[%u] failed with error %d%s",
				     op->target->comm, op->request->pid, -ret,
				     ret == -EPERM ? "; is the file on a file system mounted noexec?" : "");
	ret = lp_apply_fixups(op);
	if (ret)
		lpatch_load_unmap(op);
	return ret;
}

/*
 * Finds the first part in [*at, end) of the segment that is still as lpatch_load_map() mapped it:
 * the target may have unmapped parts, or mapped something else there. Sets *at to the start of that
 * part.
 * Return: the end of the part, 0 if there is none, or a negative errno if mmap_lock cannot be
 * taken.
 */
static unsigned long lp_segment_piece(struct mm_struct *mm, const struct lp_patch *patch,
				      unsigned long base, const struct lp_segment *segment,
				      unsigned long *at)
{
	const struct inode *inode = d_real_inode(patch->file->f_path.dentry);
	unsigned long start = base + segment->vaddr, end = start + segment->size;
	struct vm_area_struct *vma;
	unsigned long found = 0;

	if (mmap_read_lock_killable(mm))
		return -EINTR;
	for (vma = find_vma(mm, *at); vma && vma->vm_start < end; vma = find_vma(mm, *at)) {
		u64 offset;

		*at = max(*at, vma->vm_start);
		offset = *at - vma->vm_start + ((u64)vma->vm_pgoff << PAGE_SHIFT);
		if (vma->vm_file && file_inode(vma->vm_file) == inode &&
		    offset == segment->offset + (*at - start)) {
			found = min(end, vma->vm_end);
			break;
		}
		*at = vma->vm_end;
	}
	mmap_read_unlock(mm);
	return found;
}

/*
 * Is any part of a segment of a patch that was mapped at @base still mapped? Return: true as well
 * if that cannot be found out.
 */
bool lpatch_load_is_mapped(struct mm_struct *mm, const struct lp_patch *patch, unsigned long base,
			   const struct lp_segment *segment)
{
	unsigned long at = base + segment->vaddr;

	return lp_segment_piece(mm, patch, base, segment, &at);
}

static int lp_unmap_segment(const struct lp_op *op, const struct lp_segment *segment)
{
	unsigned long at = op->base + segment->vaddr, end;
	int ret;

	while ((end = lp_segment_piece(op->target->mm, op->patch, op->base, segment, &at))) {
		ret = IS_ERR_VALUE(end) ? (long)end : vm_munmap(at, end - at);
		if (ret)
			return ret;
		at = end;
	}
	return 0;
}

/**
 * lpatch_load_unmap() - unmap the patch from the target, and delete its record
 * @op: with the record of a patch that no thread uses
 *
 * Return: 0, or a refusal; the record is deleted only if the whole patch is unmapped.
 */
int lpatch_load_unmap(struct lp_op *op)
{
	int ret = 0;
	u32 i;

	/* Set it before the first segment is unmapped: a fork copies the flag, too. */
	op->record->incomplete = true;
	lpatch_op_wait_begin(op);
	for (i = 0; !ret && i < op->patch->nr_segments; i++)
		ret = lp_unmap_segment(op, &op->patch->segments[i]);
	lpatch_op_wait_end(op);
	if (!ret) {
		lp_load_forget(op);
		return 0;
	}
	/* Report why the load is undone rather than that it cannot be. */
	if (op->outcome.refusal != LPATCH_REFUSAL_NONE)
		return -lpatch_refusal_errno(op->outcome.refusal);
	if (ret == -EPERM)
		return lpatch_refuse(&op->outcome, LPATCH_REFUSAL_MAP_FAILED,
				     "%s[%u] has sealed the mapping of patch %s (mseal), which stays until the process ends",
				     op->target->comm, op->request->pid, op->patch->name);
	return lpatch_refuse(&op->outcome, LPATCH_REFUSAL_MAP_FAILED,
			     "unmapping the patch from %s[%u] failed with error %d",
			     op->target->comm, op->request->pid, -ret);
}

/**
 * lpatch_load_complete() - make a loaded patch fit to be applied
 * @op: with the record, which may be replaced
 *
 * No thread has used an incomplete patch, and the values of the fix-ups are the same as before, so
 * they are written again. If only a part of the patch is mapped, it is loaded anew.
 *
 * Return: 0, or a refusal.
 */
int lpatch_load_complete(struct lp_op *op)
{
	if (op->live.unmapped || op->live.gone || !op->record->incomplete)
		return 0; /* missing parts are refused with a specific message later */
	if (op->live.partial)
		return lpatch_load_unmap(op) ?: lpatch_load_map(op);
	memcpy(op->bases, op->record->bases, sizeof(op->bases));
	return lp_apply_fixups(op);
}
