// SPDX-License-Identifier: GPL-2.0
/*
 * Adds entries from a client's requests to the tables of a patch object. patch_check.c checks
 * whether they are consistent.
 */

#include <linux/dcache.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/log2.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <net/netlink.h>

#include "build_id.h"
#include "nl_gen.h"
#include "patch.h"

/*
 * Makes room for @add more entries of @size bytes behind the first @nr. Return: the table, or NULL
 * with the old one unchanged.
 */
static void *lp_table_grow(void *table, u32 nr, u32 add, size_t size)
{
	void *bigger;

	if (nr && roundup_pow_of_two(nr) >= nr + add)
		return table;
	bigger = kvcalloc(roundup_pow_of_two(nr + add), size, GFP_KERNEL_ACCOUNT);
	if (!bigger)
		return NULL;
	if (nr)
		memcpy(bigger, table, nr * size);
	kvfree(table);
	return bigger;
}

/* Appends one zeroed entry to a table of at most @max. */
#define lp_table_append(table, nr, max, extack) ({					\
	typeof(table) __grown = NULL;							\
											\
	if ((nr) >= (max))								\
		NL_SET_ERR_MSG(extack, "too many entries in one table of the patch");	\
	else										\
		__grown = lp_table_grow(table, nr, 1, sizeof(*(table)));		\
	if (__grown)									\
		(table) = __grown;							\
	__grown ? &(table)[(nr)] : NULL;						\
})

static u32 lp_get_u32(struct nlattr **tb, int type)
{
	return tb[type] ? nla_get_u32(tb[type]) : 0;
}

static u64 lp_get_u64(struct nlattr **tb, int type)
{
	return tb[type] ? nla_get_u64(tb[type]) : 0;
}

/*
 * Sets the build-id of an image, and checks that its file has it. The build-id is covered by the
 * signature of the patch, so a client cannot redirect a signed patch to another program. Return: 0
 * or a negative errno.
 */
static int lp_add_build_id(struct lp_image *image, const struct nlattr *attr, struct netlink_ext_ack *extack)
{
	int ret;

	image->build_id_len = attr ? nla_len(attr) : 0;
	if (!image->build_id_len)
		return 0;
	nla_memcpy(image->build_id, attr, sizeof(image->build_id));
	ret = lpatch_build_id_check(image);
	if (ret == -ENODATA)
		NL_SET_ERR_MSG_ATTR(extack, attr,
				    "the file of the image has another build-id than the one that the patch is for, or none");
	else if (ret)
		NL_SET_ERR_MSG_ATTR(extack, attr, "the build-id of the image's file cannot be read");
	return ret;
}

/*
 * Takes a file descriptor of the sender, in its context: a kthread has no file table and, on 7.x,
 * no root directory in which to open a path.
 */
static int lp_add_image(struct lp_patch *patch, const struct nlattr *attr,
			struct netlink_ext_ack *extack)
{
	struct nlattr *tb[LPATCH_A_IMAGE_MAX + 1];
	struct lp_image *image;
	int ret;

	ret = nla_parse_nested(tb, LPATCH_A_IMAGE_MAX, attr, lpatch_image_nl_policy, extack);
	if (ret)
		return ret;
	if (!tb[LPATCH_A_IMAGE_NAME] || !tb[LPATCH_A_IMAGE_FD]) {
		NL_SET_ERR_MSG_ATTR(extack, attr, "an image needs a name and an open file");
		return -EINVAL;
	}
	image = lp_table_append(patch->images, patch->nr_images, LPATCH_IMAGES_MAX, extack);
	if (!image)
		return -ENOMEM;
	image->file = fget(nla_get_u32(tb[LPATCH_A_IMAGE_FD]));
	if (!image->file) {
		NL_SET_ERR_MSG_ATTR(extack, tb[LPATCH_A_IMAGE_FD],
				    "the image's file descriptor is not open");
		return -EBADF;
	}
	/*
	 * A netlink socket that is referenced here would never be closed, and the patch never
	 * freed: the client's hold on the patch ends only when its socket is closed.
	 */
	if (!S_ISREG(file_inode(image->file)->i_mode)) {
		fput(image->file);
		NL_SET_ERR_MSG_ATTR(extack, tb[LPATCH_A_IMAGE_FD],
				    "the image is not a regular file");
		return -EINVAL;
	}
	image->inode = d_real_inode(image->file->f_path.dentry);
	ret = lp_add_build_id(image, tb[LPATCH_A_IMAGE_BUILD_ID], extack);
	image->name = ret ? NULL : nla_strdup(tb[LPATCH_A_IMAGE_NAME], GFP_KERNEL_ACCOUNT);
	if (!image->name) {
		fput(image->file);
		return ret ?: -ENOMEM;
	}
	image->flags = lp_get_u32(tb, LPATCH_A_IMAGE_FLAGS);
	image->text_offset = lp_get_u64(tb, LPATCH_A_IMAGE_TEXT_OFFSET);
	image->text_vaddr = lp_get_u64(tb, LPATCH_A_IMAGE_TEXT_VADDR);
	image->span_start = lp_get_u64(tb, LPATCH_A_IMAGE_SPAN_START);
	image->span_end = lp_get_u64(tb, LPATCH_A_IMAGE_SPAN_END);
	patch->nr_images++;
	return 0;
}

static int lp_add_segment(struct lp_patch *patch, const struct nlattr *attr,
			  struct netlink_ext_ack *extack)
{
	struct nlattr *tb[LPATCH_A_SEGMENT_MAX + 1];
	struct lp_segment *segment;
	int ret;

	ret = nla_parse_nested(tb, LPATCH_A_SEGMENT_MAX, attr, lpatch_segment_nl_policy, extack);
	if (ret)
		return ret;
	segment = lp_table_append(patch->segments, patch->nr_segments, LPATCH_SEGMENTS_MAX, extack);
	if (!segment)
		return -ENOMEM;
	segment->offset = lp_get_u64(tb, LPATCH_A_SEGMENT_OFFSET);
	segment->vaddr = lp_get_u64(tb, LPATCH_A_SEGMENT_VADDR);
	segment->size = lp_get_u64(tb, LPATCH_A_SEGMENT_SIZE);
	segment->prot = lp_get_u32(tb, LPATCH_A_SEGMENT_PROT);
	patch->nr_segments++;
	return 0;
}

static int lp_add_site(struct lp_patch *patch, const struct nlattr *attr,
		       struct netlink_ext_ack *extack)
{
	struct nlattr *tb[LPATCH_A_SITE_MAX + 1];
	struct lp_site *site;
	int ret;

	ret = nla_parse_nested(tb, LPATCH_A_SITE_MAX, attr, lpatch_site_nl_policy, extack);
	if (ret)
		return ret;
	if (!tb[LPATCH_A_SITE_SYMBOL] || !tb[LPATCH_A_SITE_OLD]) {
		NL_SET_ERR_MSG_ATTR(extack, attr, "a site needs a symbol and the expected bytes");
		return -EINVAL;
	}
	site = lp_table_append(patch->sites, patch->nr_sites, LPATCH_SITES_MAX, extack);
	if (!site)
		return -ENOMEM;
	site->kind = lp_get_u32(tb, LPATCH_A_SITE_KIND);
	site->image = lp_get_u32(tb, LPATCH_A_SITE_IMAGE);
	site->vaddr = lp_get_u64(tb, LPATCH_A_SITE_VADDR);
	site->target = lp_get_u64(tb, LPATCH_A_SITE_TARGET);
	site->len = nla_memcpy(site->old_bytes, tb[LPATCH_A_SITE_OLD], LPATCH_SITE_MAX);
	if (site->kind == LPATCH_SITE_KIND_BYTES &&
	    (!tb[LPATCH_A_SITE_NEW] || nla_len(tb[LPATCH_A_SITE_NEW]) != site->len)) {
		NL_SET_ERR_MSG_ATTR(extack, attr,
				    "a site of bytes needs as many new bytes as expected ones");
		return -EINVAL;
	}
	if (tb[LPATCH_A_SITE_NEW])
		nla_memcpy(site->new_bytes, tb[LPATCH_A_SITE_NEW], LPATCH_SITE_MAX);
	site->symbol = nla_strdup(tb[LPATCH_A_SITE_SYMBOL], GFP_KERNEL_ACCOUNT);
	if (!site->symbol)
		return -ENOMEM;
	patch->nr_sites++;
	return 0;
}

static int lp_add_function(struct lp_patch *patch, const struct nlattr *attr,
			   struct netlink_ext_ack *extack)
{
	struct nlattr *tb[LPATCH_A_FUNCTION_MAX + 1];
	struct lp_function *function;
	int ret;

	ret = nla_parse_nested(tb, LPATCH_A_FUNCTION_MAX, attr, lpatch_function_nl_policy, extack);
	if (ret)
		return ret;
	if (!tb[LPATCH_A_FUNCTION_SYMBOL]) {
		NL_SET_ERR_MSG_ATTR(extack, attr, "a function needs a symbol");
		return -EINVAL;
	}
	function = lp_table_append(patch->functions, patch->nr_functions, LPATCH_FUNCTIONS_MAX,
				   extack);
	if (!function)
		return -ENOMEM;
	function->image = lp_get_u32(tb, LPATCH_A_FUNCTION_IMAGE);
	function->start = lp_get_u64(tb, LPATCH_A_FUNCTION_START);
	function->end = lp_get_u64(tb, LPATCH_A_FUNCTION_END);
	function->symbol = nla_strdup(tb[LPATCH_A_FUNCTION_SYMBOL], GFP_KERNEL_ACCOUNT);
	if (!function->symbol)
		return -ENOMEM;
	patch->nr_functions++;
	return 0;
}

static int lp_add_fixups(struct lp_patch *patch, const struct nlattr *attr,
			 struct netlink_ext_ack *extack)
{
	u32 add = nla_len(attr) / sizeof(*patch->fixups);
	void *grown;

	if (!add || nla_len(attr) % sizeof(*patch->fixups)) {
		NL_SET_ERR_MSG_ATTR(extack, attr,
				    "the table of fix-ups is not a whole number of entries");
		return -EINVAL;
	}
	if (add > LPATCH_FIXUPS_MAX - patch->nr_fixups) {
		NL_SET_ERR_MSG_ATTR(extack, attr, "too many fix-ups in the patch");
		return -E2BIG;
	}
	grown = lp_table_grow(patch->fixups, patch->nr_fixups, add, sizeof(*patch->fixups));
	if (!grown)
		return -ENOMEM;
	patch->fixups = grown;
	memcpy(patch->fixups + patch->nr_fixups, nla_data(attr), nla_len(attr));
	patch->nr_fixups += add;
	return 0;
}

/**
 * lpatch_patch_add() - add entries to the tables of an object in transfer
 * @patch: the object
 * @head: the attributes of the request
 * @len: bytes of the attributes
 * @extack: says which attribute was refused; those before it were added
 *
 * Context: the client, whose file descriptors are looked up.
 * Return: 0 or a negative errno.
 */
int lpatch_patch_add(struct lp_patch *patch, const struct nlattr *head, int len,
		     struct netlink_ext_ack *extack)
{
	const struct nlattr *attr;
	int rem, ret = 0;

	mutex_lock(&patch->transfer);
	if (patch->sealed) {
		NL_SET_ERR_MSG(extack, "the patch is sealed and does not change any more");
		ret = -EBUSY;
	}
	nla_for_each_attr(attr, head, len, rem) {
		if (ret)
			break;
		switch (nla_type(attr)) {
		case LPATCH_A_PATCH_IMAGE:
			ret = lp_add_image(patch, attr, extack);
			break;
		case LPATCH_A_PATCH_SEGMENT:
			ret = lp_add_segment(patch, attr, extack);
			break;
		case LPATCH_A_PATCH_SITE:
			ret = lp_add_site(patch, attr, extack);
			break;
		case LPATCH_A_PATCH_FUNCTION:
			ret = lp_add_function(patch, attr, extack);
			break;
		case LPATCH_A_PATCH_FIXUPS:
			ret = lp_add_fixups(patch, attr, extack);
			break;
		}
	}
	mutex_unlock(&patch->transfer);
	return ret;
}
