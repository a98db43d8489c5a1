// SPDX-License-Identifier: GPL-2.0
/*
 * The two hashes that a signature of a patch covers (see signature.c).
 * Documentation/signed-patches.md specifies the order of the fields of the tables;
 * pkg/lpnl/signed.go implements the same.
 */

#include <crypto/hash.h>
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "patch.h"
#include "sum.h"

/* State of a SHA-256, and the first error. */
struct lp_sum {
	int error;
	struct shash_desc desc;
};

static struct lp_sum *lp_sum_alloc(void)
{
	struct crypto_shash *tfm = crypto_alloc_shash("sha256", 0, 0);
	struct lp_sum *sum;

	if (IS_ERR(tfm))
		return ERR_CAST(tfm);
	sum = kzalloc(sizeof(*sum) + crypto_shash_descsize(tfm), GFP_KERNEL);
	if (!sum) {
		crypto_free_shash(tfm);
		return ERR_PTR(-ENOMEM);
	}
	sum->desc.tfm = tfm;
	sum->error = crypto_shash_init(&sum->desc);
	return sum;
}

/* Return: 0, or the first error. */
static int lp_sum_finish(struct lp_sum *sum, u8 *out)
{
	int ret = sum->error ?: crypto_shash_final(&sum->desc, out);

	crypto_free_shash(sum->desc.tfm);
	kfree_sensitive(sum);
	return ret;
}

static void lp_sum_bytes(struct lp_sum *sum, const void *bytes, unsigned int len)
{
	if (!sum->error)
		sum->error = crypto_shash_update(&sum->desc, bytes, len);
}

static void lp_sum_u32(struct lp_sum *sum, u32 value)
{
	__le32 bytes = cpu_to_le32(value);

	lp_sum_bytes(sum, &bytes, sizeof(bytes));
}

static void lp_sum_u64(struct lp_sum *sum, u64 value)
{
	__le64 bytes = cpu_to_le64(value);

	lp_sum_bytes(sum, &bytes, sizeof(bytes));
}

static void lp_sum_string(struct lp_sum *sum, const char *string)
{
	u32 len = strlen(string);

	lp_sum_u32(sum, len);
	lp_sum_bytes(sum, string, len);
}

static void lp_sum_image(struct lp_sum *sum, const struct lp_image *image)
{
	lp_sum_string(sum, image->name);
	lp_sum_u32(sum, image->flags);
	lp_sum_u64(sum, image->text_offset);
	lp_sum_u64(sum, image->text_vaddr);
	lp_sum_u64(sum, image->span_start);
	lp_sum_u64(sum, image->span_end);
	lp_sum_u32(sum, image->build_id_len);
	lp_sum_bytes(sum, image->build_id, image->build_id_len);
}

static void lp_sum_segment(struct lp_sum *sum, const struct lp_segment *segment)
{
	lp_sum_u64(sum, segment->offset);
	lp_sum_u64(sum, segment->vaddr);
	lp_sum_u64(sum, segment->size);
	lp_sum_u32(sum, segment->prot);
}

static void lp_sum_site(struct lp_sum *sum, const struct lp_site *site)
{
	lp_sum_string(sum, site->symbol);
	lp_sum_u32(sum, site->kind);
	lp_sum_u32(sum, site->image);
	lp_sum_u64(sum, site->vaddr);
	lp_sum_u64(sum, site->target);
	lp_sum_u32(sum, site->len);
	lp_sum_bytes(sum, site->old_bytes, sizeof(site->old_bytes));
	lp_sum_bytes(sum, site->new_bytes, sizeof(site->new_bytes));
}

static void lp_sum_function(struct lp_sum *sum, const struct lp_function *function)
{
	lp_sum_string(sum, function->symbol);
	lp_sum_u32(sum, function->image);
	lp_sum_u64(sum, function->start);
	lp_sum_u64(sum, function->end);
}

static void lp_sum_fixup(struct lp_sum *sum, const struct lpatch_fixup *fixup)
{
	lp_sum_u64(sum, fixup->place);
	lp_sum_u64(sum, fixup->addend);
	lp_sum_u32(sum, fixup->image);
	lp_sum_u32(sum, fixup->kind);
}

/**
 * lpatch_sum_tables() - hash everything that a client transferred of a patch, except its file
 * @patch: complete and checked, so that its sites are sorted and its segments page aligned
 * @out: LP_SUM_LEN bytes
 *
 * Each field has a fixed length or is preceded by its length, so that no two patches give the same
 * bytes.
 *
 * Return: 0 or a negative errno.
 */
int lpatch_sum_tables(const struct lp_patch *patch, u8 *out)
{
	struct lp_sum *sum = lp_sum_alloc();
	u32 i;

	if (IS_ERR(sum))
		return PTR_ERR(sum);
	lp_sum_string(sum, patch->name);
	lp_sum_u64(sum, patch->pin);
	lp_sum_u32(sum, patch->nr_images);
	lp_sum_u32(sum, patch->nr_segments);
	lp_sum_u32(sum, patch->nr_sites);
	lp_sum_u32(sum, patch->nr_functions);
	lp_sum_u32(sum, patch->nr_fixups);
	for (i = 0; i < patch->nr_images; i++)
		lp_sum_image(sum, &patch->images[i]);
	for (i = 0; i < patch->nr_segments; i++)
		lp_sum_segment(sum, &patch->segments[i]);
	for (i = 0; i < patch->nr_sites; i++)
		lp_sum_site(sum, &patch->sites[i]);
	for (i = 0; i < patch->nr_functions; i++)
		lp_sum_function(sum, &patch->functions[i]);
	for (i = 0; i < patch->nr_fixups; i++)
		lp_sum_fixup(sum, &patch->fixups[i]);
	return lp_sum_finish(sum, out);
}

/**
 * lpatch_sum_file() - hash the beginning of a file
 * @file: writes to it are denied
 * @len: number of bytes
 * @out: LP_SUM_LEN bytes
 *
 * Return: 0 or a negative errno; -EIO if the file is shorter, -EINTR if the caller is being killed.
 */
int lpatch_sum_file(struct file *file, loff_t len, u8 *out)
{
	struct lp_sum *sum = lp_sum_alloc();
	loff_t at = 0;
	void *buf;

	if (IS_ERR(sum))
		return PTR_ERR(sum);
	buf = kmalloc(PAGE_SIZE, GFP_KERNEL);
	if (!buf)
		sum->error = -ENOMEM;
	while (!sum->error && at < len) {
		ssize_t got = kernel_read(file, buf, min_t(loff_t, len - at, PAGE_SIZE), &at);

		if (got > 0)
			lp_sum_bytes(sum, buf, got);
		else
			sum->error = got ?: -EIO;
		if (fatal_signal_pending(current))
			sum->error = -EINTR;
		cond_resched();
	}
	kfree(buf);
	return lp_sum_finish(sum, out);
}
