// SPDX-License-Identifier: GPL-2.0
/*
 * Patch objects. A client creates one, adds its tables in as many requests as needed, and seals it.
 * A sealed object never changes and is identified by its hash. It lives as long as it is referenced
 * by a client that transferred or found it (a hold, until the client's socket closes), by the
 * record of a target, or by an operation in progress.
 */

#include <linux/file.h>
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/mutex.h>
#include <linux/netlink.h>
#include <linux/slab.h>

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

/* Protects the two lists and the counters. Taken inside lp_patch.transfer. */
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

/*
 * Return: the sealed object with that hash, referenced, or NULL. Prefers one whose signature was
 * verified.
 */
struct lp_patch *lpatch_patch_by_hash(const u8 *hash)
{
	struct lp_patch *patch, *found = NULL;

	mutex_lock(&lp_patch_lock);
	list_for_each_entry(patch, &lp_sealed, node)
		if (!memcmp(patch->hash, hash, LPATCH_HASH_LEN) &&
		    (!found || (patch->signature && !found->signature)))
			found = patch;
	/*
	 * The refcount is not zero: kref_put_mutex() in lpatch_patch_put() drops the last one under
	 * this lock.
	 */
	if (found)
		lpatch_patch_get(found);
	mutex_unlock(&lp_patch_lock);
	return found;
}

/* Takes over the caller's reference. Return: the id of the hold, or 0 if out of memory. */
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
 * lpatch_patch_hold() - give a client a hold on a sealed object that exists already
 * @portid: the client's socket
 * @hash: identifies the object
 *
 * Return: the object, referenced by the hold; NULL if there is none that may be used; or an
 * ERR_PTR.
 */
struct lp_patch *lpatch_patch_hold(u32 portid, const u8 *hash)
{
	struct lp_patch *patch = lpatch_patch_by_hash(hash);

	/* It may have been sealed before its key was added, or before signatures were required. */
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
 * @file: the patch file; takes over the reference, also on error
 * @pin: vaddr of the word that forbids an unload, or 0
 * @id: set to the id of the client's hold
 *
 * Return: the object, referenced by the hold, or an ERR_PTR; -ETXTBSY if the file is open for
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
	/* Targets map its pages: a write or a truncation would change running code. */
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

/* Return: the object that a client is transferring, referenced, or NULL. */
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

/* Drops the holds of a client whose socket was closed. */
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

static void lp_patch_publish(struct lp_patch *patch)
{
	mutex_lock(&lp_patch_lock);
	patch->sealed = true;
	list_add_tail(&patch->node, &lp_sealed);
	lp_nr_sealed++;
	mutex_unlock(&lp_patch_lock);
}

/*
 * Hashes the file for the audit records. The hash is that of the bytes as they are read now; on a
 * file system that a program serves, a later read may return others. Return: 0, also if the kernel
 * has no SHA-256 or the file is too large, or a negative errno.
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
 * lpatch_patch_seal() - check a complete object and its signature, and publish it
 * @patch: the object
 * @extack: set to a sentence that says what is wrong with it
 *
 * Another client may have sealed an equal object meanwhile. Both are kept, and either can be used.
 *
 * Return: 0 or a negative errno.
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
	/*
	 * All of them are literals, but NL_SET_ERR_MSG() does not accept them through a variable.
	 */
	if (wrong)
		extack->_msg = wrong;
	mutex_unlock(&patch->transfer);
	return ret;
}
