// SPDX-License-Identifier: GPL-2.0
/* Checks whether a patch object can be sealed. */

#include <linux/bits.h>
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/sort.h>
#include <linux/string.h>

#include "arch.h"
#include "patch.h"

/* The largest mapped size of a patch. */
#define LP_PATCH_SIZE_MAX BIT_ULL(30)

/* Return: the segment that contains [vaddr, vaddr + len), or NULL. */
static const struct lp_segment *lp_segment_of(const struct lp_patch *patch, u64 vaddr, u64 len)
{
	u32 i;

	for (i = 0; i < patch->nr_segments; i++) {
		const struct lp_segment *segment = &patch->segments[i];

		if (vaddr >= segment->vaddr && vaddr - segment->vaddr < segment->size &&
		    segment->size - (vaddr - segment->vaddr) >= len)
			return segment;
	}
	return NULL;
}

static const char *lp_check_segments(struct lp_patch *patch)
{
	u64 file_size = i_size_read(file_inode(patch->file));
	u64 end = 0;
	u32 i;

	if (!patch->nr_segments)
		return "the patch has no segment";
	for (i = 0; i < patch->nr_segments; i++) {
		struct lp_segment *segment = &patch->segments[i];

		if (!PAGE_ALIGNED(segment->offset) || !PAGE_ALIGNED(segment->vaddr) ||
		    !segment->size)
			return "a segment of the patch is empty or not page aligned";
		if (segment->offset > file_size || segment->size > file_size - segment->offset)
			return "a segment of the patch lies beyond the end of its file";
		if (segment->vaddr < end || segment->vaddr > LP_PATCH_SIZE_MAX ||
		    segment->size > LP_PATCH_SIZE_MAX)
			return "the segments of the patch overlap, are not in ascending order, or are too large";
		if (!i && segment->vaddr)
			return "the first segment of the patch is not at address 0";
		if ((segment->prot & LPATCH_SEGMENT_PROT_WRITE) &&
		    (segment->prot & LPATCH_SEGMENT_PROT_EXEC))
			return "a segment of the patch is both writable and executable";
		segment->size = PAGE_ALIGN(segment->size);
		end = segment->vaddr + segment->size;
	}
	patch->size = end;
	return NULL;
}

static const char *lp_check_images(const struct lp_patch *patch)
{
	u32 i;

	for (i = 0; i < patch->nr_images; i++) {
		const struct lp_image *image = &patch->images[i];

		if (!PAGE_ALIGNED(image->text_offset) || !PAGE_ALIGNED(image->text_vaddr))
			return "the text of an image is not page aligned";
		if (image->span_start >= image->span_end || image->span_end > TASK_SIZE_MAX ||
		    image->text_vaddr < image->span_start || image->text_vaddr >= image->span_end)
			return "the addresses of an image make no sense";
	}
	return NULL;
}

static int lp_site_cmp(const void *a, const void *b)
{
	const struct lp_site *x = a, *y = b;

	if (x->image != y->image)
		return x->image < y->image ? -1 : 1;
	return x->vaddr < y->vaddr ? -1 : x->vaddr > y->vaddr;
}

static const char *lp_check_site(const struct lp_patch *patch, const struct lp_site *site)
{
	const struct lp_segment *segment;
	const struct lp_image *image;

	if (site->image >= patch->nr_images)
		return "a site is in an image that the patch does not list";
	image = &patch->images[site->image];
	if (site->vaddr < image->span_start || site->vaddr >= image->span_end || !site->len)
		return "a site lies outside of its image";
	if (site->kind != LPATCH_SITE_KIND_JUMP)
		return NULL;
	if (site->len != LP_JUMP_LEN)
		return "a site of kind jump does not have the length of a jump";
	segment = lp_segment_of(patch, site->target, 1);
	if (!segment || !(segment->prot & LPATCH_SEGMENT_PROT_EXEC))
		return "a site jumps to something that is not code of the patch";
	return NULL;
}

/* The sites of one value have the same name, and no other site is between them. */
static bool lp_begins_value(const struct lp_patch *patch, u32 i)
{
	const struct lp_site *site = &patch->sites[i];

	return site->kind == LPATCH_SITE_KIND_BYTES &&
	       (!i || site[-1].kind != LPATCH_SITE_KIND_BYTES || site[-1].image != site->image ||
		strcmp(site[-1].symbol, site->symbol));
}

/* Also sorts the sites and counts the values. */
static const char *lp_check_sites(struct lp_patch *patch)
{
	const char *wrong;
	u32 i;

	if (!patch->nr_sites)
		return "the patch has no site";
	sort(patch->sites, patch->nr_sites, sizeof(*patch->sites), lp_site_cmp, NULL);
	patch->nr_values = 0;
	for (i = 0; i < patch->nr_sites; i++) {
		const struct lp_site *site = &patch->sites[i];

		wrong = lp_check_site(patch, site);
		if (wrong)
			return wrong;
		if (i && site[-1].image == site->image &&
		    site->vaddr - site[-1].vaddr < site[-1].len)
			return "two sites of the patch overlap";
		patch->nr_values += lp_begins_value(patch, i);
	}
	return NULL;
}

static const char *lp_check_functions(const struct lp_patch *patch)
{
	u32 i;

	for (i = 0; i < patch->nr_functions; i++) {
		const struct lp_function *function = &patch->functions[i];

		if (function->image >= patch->nr_images)
			return "a function is in an image that the patch does not list";
		if (function->start >= function->end ||
		    function->end > patch->images[function->image].span_end)
			return "a function lies outside of its image";
	}
	return NULL;
}

static const char *lp_check_fixups(const struct lp_patch *patch)
{
	u32 i;

	for (i = 0; i < patch->nr_fixups; i++) {
		const struct lpatch_fixup *fixup = &patch->fixups[i];

		if (fixup->kind > LPATCH_FIXUP_KIND_PC32)
			return "a fix-up is of an unknown kind";
		if (fixup->image < -1 || fixup->image >= (s32)patch->nr_images)
			return "a fix-up refers to an image that the patch does not list";
		if (!lp_segment_of(patch, fixup->place,
				   fixup->kind == LPATCH_FIXUP_KIND_ABS64 ? 8 : 4))
			return "a fix-up lies outside of the patch";
	}
	return NULL;
}

static const char *lp_check_pin(const struct lp_patch *patch)
{
	const struct lp_segment *segment = lp_segment_of(patch, patch->pin, sizeof(u64));

	if (patch->pin && (patch->pin % sizeof(u64) || !segment ||
			   !(segment->prot & LPATCH_SEGMENT_PROT_WRITE)))
		return "the pin of the patch is no word of its writable data";
	return NULL;
}

/**
 * lpatch_patch_check() - is a complete object consistent?
 * @patch: the object; its sites are sorted by address
 *
 * User space is not trusted: everything that the kernel later indexes, maps or writes is checked
 * here, once.
 *
 * Return: NULL, or a sentence that says what is wrong.
 */
const char *lpatch_patch_check(struct lp_patch *patch)
{
	const char *wrong;

	wrong = lp_check_segments(patch);
	wrong = wrong ?: lp_check_images(patch);
	wrong = wrong ?: lp_check_sites(patch);
	wrong = wrong ?: lp_check_functions(patch);
	wrong = wrong ?: lp_check_fixups(patch);
	return wrong ?: lp_check_pin(patch);
}
