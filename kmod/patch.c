// SPDX-License-Identifier: GPL-2.0
/*
 * Patch objects. A client makes one, adds its tables in as many requests as needed, and seals it. A
 * sealed object never changes, is named by its hash, and lives as long as anybody refers to it: a
 * client that transferred or found it (a hold, until its socket closes), the record of a target, an
 * operation under way.
 */

#include <linux/file.h>
#include <linux/fs.h>
#include <linux/log2.h>
#include <linux/mm.h>
#include <linux/mutex.h>
#include <linux/netlink.h>
#include <linux/slab.h>

#include "build_id.h"
#include "nl_gen.h"
#include "patch.h"
#include "sign.h"
#include "signature.h"

/* One client's hold on one object, until its socket closes. */
struct lp_hold {
	struct list_head node;
	u32 portid;
	u32 id;
	struct lp_patch *patch;
};

/* Covers the two lists and the counters. Taken inside lp_patch.transfer. */
static DEFINE_MUTEX(lp_patch_lock);
static LIST_HEAD(lp_sealed);
static LIST_HEAD(lp_holds);
static unsigned int lp_nr_sealed;
static u32 lp_last_id;

static void lp_patch_free(struct kref *ref)
{
	struct lp_patch *patch = container_of(ref, struct lp_patch, ref);
	u32 i;

	lockdep_assert_held(&lp_patch_lock);
	if (!list_empty(&patch->node)) {
		list_del(&patch->node);
		lp_nr_sealed--;
	}
	for (i = 0; i < patch->nr_images; i++) {
		fput(patch->images[i].file);
		kfree(patch->images[i].name);
	}
	for (i = 0; i < patch->nr_sites; i++)
		kfree(patch->sites[i].symbol);
	for (i = 0; i < patch->nr_functions; i++)
		kfree(patch->functions[i].symbol);
	kvfree(patch->images);
	kvfree(patch->segments);
	kvfree(patch->sites);
	kvfree(patch->functions);
	kvfree(patch->fixups);
	lpatch_signature_free(patch->signature);
	allow_write_access(patch->file);
	fput(patch->file);
	kfree(patch);
	mutex_unlock(&lp_patch_lock);
}

void lpatch_patch_get(struct lp_patch *patch)
{
	kref_get(&patch->ref);
}

void lpatch_patch_put(struct lp_patch *patch)
{
	kref_put_mutex(&patch->ref, lp_patch_free, &lp_patch_lock);
}

unsigned int lpatch_patch_count(void)
{
	return READ_ONCE(lp_nr_sealed);
}

/* The sealed object of that hash with a reference, one that was verified if there is one, or NULL. */
struct lp_patch *lpatch_patch_by_hash(const u8 *hash)
{
	struct lp_patch *patch, *found = NULL;

	mutex_lock(&lp_patch_lock);
	list_for_each_entry(patch, &lp_sealed, node)
		if (!memcmp(patch->hash, hash, LPATCH_HASH_LEN) &&
		    (!found || (patch->signature && !found->signature)))
			found = patch;
	/* Not zero: kref_put_mutex() in lpatch_patch_put() drops the last one under this lock. */
	if (found)
		lpatch_patch_get(found);
	mutex_unlock(&lp_patch_lock);
	return found;
}

/* Takes over the caller's reference. Returns the handle, or 0 without memory. */
static u32 lp_hold_add(u32 portid, struct lp_patch *patch)
{
	struct lp_hold *hold = kzalloc(sizeof(*hold), GFP_KERNEL);
	u32 id;

	if (!hold)
		return 0;
	hold->portid = portid;
	hold->patch = patch;
	mutex_lock(&lp_patch_lock);
	id = ++lp_last_id ?: ++lp_last_id;
	hold->id = id;
	list_add(&hold->node, &lp_holds);
	mutex_unlock(&lp_patch_lock);
	return id;
}

/**
 * lpatch_patch_hold() - let a client keep a sealed object that is here already
 * @portid: the client's socket
 * @hash: names the object
 *
 * Return: the object, kept by the hold; NULL if there is none that may be used; or an ERR_PTR.
 */
struct lp_patch *lpatch_patch_hold(u32 portid, const u8 *hash)
{
	struct lp_patch *patch = lpatch_patch_by_hash(hash);

	/* It may have come before its key, or before signatures were required. */
	if (patch && lpatch_sign_objection(patch)) {
		lpatch_patch_put(patch);
		return NULL;
	}
	if (patch && !lp_hold_add(portid, patch)) {
		lpatch_patch_put(patch);
		return ERR_PTR(-ENOMEM);
	}
	return patch;
}

/**
 * lpatch_patch_new() - begin a transfer
 * @portid: the client's socket
 * @name: of the patch
 * @hash: LPATCH_HASH_LEN bytes
 * @file: the patch file; its reference is taken over, also in case of an error
 * @pin: where the word is that forbids an unload, or 0
 * @id: gets the handle
 *
 * Return: the object, kept by the client's hold, or an ERR_PTR; -ETXTBSY if the file is open for
 * writing.
 */
struct lp_patch *lpatch_patch_new(u32 portid, const char *name, const u8 *hash, struct file *file,
				  u64 pin, u32 *id)
{
	struct lp_patch *patch = kzalloc(sizeof(*patch), GFP_KERNEL);
	int ret;

	if (!patch) {
		fput(file);
		return ERR_PTR(-ENOMEM);
	}
	/* Targets map its pages: whoever wrote to it would change, or cut off, running code. */
	ret = deny_write_access(file);
	if (ret) {
		fput(file);
		kfree(patch);
		return ERR_PTR(ret);
	}
	kref_init(&patch->ref);
	INIT_LIST_HEAD(&patch->node);
	mutex_init(&patch->transfer);
	memcpy(patch->hash, hash, LPATCH_HASH_LEN);
	strscpy(patch->name, name, sizeof(patch->name));
	patch->file = file;
	patch->pin = pin;
	*id = lp_hold_add(portid, patch);
	if (!*id) {
		lpatch_patch_put(patch);
		return ERR_PTR(-ENOMEM);
	}
	return patch;
}

/* The object that a client transfers, with a reference, or NULL. */
struct lp_patch *lpatch_patch_by_id(u32 portid, u32 id)
{
	struct lp_patch *patch = NULL;
	struct lp_hold *hold;

	mutex_lock(&lp_patch_lock);
	list_for_each_entry(hold, &lp_holds, node) {
		if (hold->portid == portid && hold->id == id) {
			patch = hold->patch;
			lpatch_patch_get(patch);
			break;
		}
	}
	mutex_unlock(&lp_patch_lock);
	return patch;
}

/* The client's socket is closed: its holds end. */
void lpatch_patch_release_client(u32 portid)
{
	struct lp_hold *hold, *next;
	LIST_HEAD(gone);

	mutex_lock(&lp_patch_lock);
	list_for_each_entry_safe(hold, next, &lp_holds, node)
		if (hold->portid == portid)
			list_move(&hold->node, &gone);
	mutex_unlock(&lp_patch_lock);
	list_for_each_entry_safe(hold, next, &gone, node) {
		lpatch_patch_put(hold->patch);
		kfree(hold);
	}
}

/*
 * Makes room for @add more entries of @size bytes behind @nr. Returns the table, or NULL, the old
 * one untouched.
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
 * Takes the build-id of an image, which its file must have. Whoever signed the patch signed that, and who transfers it
 * may not choose another program. Return: 0 or a negative errno.
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
 * Takes the file in the sender's context: a kthread has no file table and, on 7.x, no root to open
 * a path in.
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
	/* A netlink socket that is kept here would never be released, and with it the patch. */
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
 * @len: bytes of them
 * @extack: says which was refused; those before it were added
 *
 * Context: the client's; file descriptors are looked up.
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

static void lp_patch_publish(struct lp_patch *patch)
{
	mutex_lock(&lp_patch_lock);
	patch->sealed = true;
	list_add_tail(&patch->node, &lp_sealed);
	lp_nr_sealed++;
	mutex_unlock(&lp_patch_lock);
}

/*
 * Notes what the file has, for the audit records: as it is read now, which is as it stays where the file system is no
 * program's. Return: 0, also where the kernel has no SHA-256 and of a file that is too large, or a negative errno.
 */
static int lp_patch_sum(struct lp_patch *patch, const char **wrong)
{
	loff_t size = i_size_read(file_inode(patch->file));
	int ret = size > LP_SUM_FILE_MAX ? 0 : lpatch_sum_file(patch->file, size, patch->content);

	if (!ret || ret == -ENOENT)
		return 0;
	*wrong = "the patch file cannot be read to its end";
	return ret;
}

/**
 * lpatch_patch_seal() - check a whole object, and its signature, and make it known by its hash
 * @patch: the object
 * @extack: gets a sentence that says what is wrong with it
 *
 * Another client may have sealed an equal one meanwhile; both are kept and either serves.
 */
int lpatch_patch_seal(struct lp_patch *patch, struct netlink_ext_ack *extack)
{
	const char *wrong = NULL;
	int ret = 0;

	mutex_lock(&patch->transfer);
	if (!patch->sealed) {
		wrong = lpatch_patch_check(patch);
		ret = wrong ? -EINVAL : lp_patch_sum(patch, &wrong);
		ret = ret ?: lpatch_sign_check(patch, &wrong);
		if (!ret)
			lp_patch_publish(patch);
	}
	/* Each is a literal; the indirection is what keeps NL_SET_ERR_MSG() from taking it. */
	if (wrong)
		extack->_msg = wrong;
	mutex_unlock(&patch->transfer);
	return ret;
}
