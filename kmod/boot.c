// SPDX-License-Identifier: GPL-2.0
/*
 * Boot entries: the patches that are applied to each process as it starts, and the results. start.c
 * applies them.
 */

#include <linux/auxvec.h>
#include <linux/fs.h>
#include <linux/hashtable.h>
#include <linux/kref.h>
#include <linux/list.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/mutex.h>
#include <linux/netlink.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include "audit.h"
#include "boot.h"
#include "history.h"
#include "patch.h"

/*
 * For a machine that does not boot: lpatch.boot=off on the kernel command line, from which modprobe
 * takes module parameters, too. The module enforces it, not the programs that register entries, so
 * that no hook, trigger or unit can bypass it.
 */
static bool lp_boot_on = true;
module_param_named(boot, lp_boot_on, bool, 0444);
MODULE_PARM_DESC(boot, "Apply patches to programs as they start (default on)");

/*
 * Protects the list, and serializes changes of the hash, which is read under RCU. A critical
 * section waits for no target.
 */
static DEFINE_MUTEX(lp_boot_lock);
static LIST_HEAD(lp_boots);
static DEFINE_HASHTABLE(lp_boot_images, 8);
static long lp_boot_last_id;

static void lp_boot_free(struct kref *ref)
{
	struct lp_boot *boot = container_of(ref, struct lp_boot, ref);

	lpatch_patch_put(boot->patch);
	kfree_rcu(boot, rcu);
}

void lpatch_boot_put(struct lp_boot *boot)
{
	kref_put(&boot->ref, lp_boot_free);
}

/*
 * A program that raises the privileges of its user must not run with a hole that the administrator
 * believes closed. The user who starts it could otherwise keep a patch out, with resource limits
 * for example.
 */
static bool lp_kill_privileged = true;
module_param_named(kill_privileged, lp_kill_privileged, bool, 0644);
MODULE_PARM_DESC(kill_privileged,
		 "Kill set-user-ID, set-group-ID and file-capability programs that a boot entry cannot patch (default on)");

/*
 * Does current have privileges that the user who started it does not have? The answer is in
 * AT_SECURE, which the kernel sets at execve() (bprm->secureexec). Later changes of the uids do not
 * affect it.
 */
static bool lp_boot_is_privileged(void)
{
	const unsigned long *auxv = current->mm->saved_auxv;
	unsigned int i;

	for (i = 0; i + 1 < AT_VECTOR_SIZE && auxv[i] != AT_NULL; i += 2)
		if (auxv[i] == AT_SECURE)
			return auxv[i + 1];
	return false;
}

/* Records that current could not be patched, and why. */
void lpatch_boot_failed(struct lp_boot *boot, const char *message)
{
	mutex_lock(&boot->lock);
	boot->failed++;
	strscpy(boot->message, message, sizeof(boot->message));
	mutex_unlock(&boot->lock);
	/* Killing init panics the machine. */
	if (is_global_init(current))
		return;
	if ((READ_ONCE(boot->flags) & LPATCH_BOOT_FLAGS_KILL) ||
	    (READ_ONCE(lp_kill_privileged) && lp_boot_is_privileged()))
		send_sig(SIGKILL, current, 1);
}

/* Counts a process that was patched. */
void lpatch_boot_applied(struct lp_boot *boot)
{
	mutex_lock(&boot->lock);
	boot->applied++;
	mutex_unlock(&boot->lock);
}

/*
 * Does @vma map an image of a boot entry? Sets @text if the mapping includes the first page of the
 * image's code, whether executable or not.
 */
bool lpatch_boot_wants(struct vm_area_struct *vma, bool *text)
{
	const struct inode *inode = file_inode(vma->vm_file);
	const struct lp_boot_image *image;
	bool found = false;

	*text = false;
	rcu_read_lock();
	hash_for_each_possible_rcu(lp_boot_images, image, node, (unsigned long)inode) {
		if (image->inode != inode)
			continue;
		found = true;
		*text |= image->text >= vma->vm_pgoff && image->text - vma->vm_pgoff < vma_pages(vma);
	}
	rcu_read_unlock();
	return found;
}

/* Does @wanted accept one of the images of an entry? */
static bool lp_boot_matches(const struct lp_boot *boot,
			    bool (*wanted)(const struct inode *inode, void *arg),
			    void *arg)
{
	u32 i;

	for (i = 0; i < boot->patch->nr_images; i++)
		if (wanted(boot->images[i].inode, arg))
			return true;
	return false;
}

/**
 * lpatch_boot_collect() - collect the entries for certain images
 * @wanted: selects the images
 * @arg: passed to @wanted
 * @list: set to the first @max entries, referenced, in the order of their ids
 * @max: size of @list
 *
 * Return: the number of matching entries, which may exceed @max.
 */
unsigned int lpatch_boot_collect(bool (*wanted)(const struct inode *inode, void *arg), void *arg,
				 struct lp_boot **list, unsigned int max)
{
	struct lp_boot *boot;
	unsigned int nr = 0;

	mutex_lock(&lp_boot_lock);
	list_for_each_entry(boot, &lp_boots, node) {
		if (!lp_boot_matches(boot, wanted, arg))
			continue;
		if (nr < max) {
			kref_get(&boot->ref);
			list[nr] = boot;
		}
		nr++;
	}
	mutex_unlock(&lp_boot_lock);
	return nr;
}

static void lp_boot_watch(struct lp_boot *boot)
{
	u32 i;

	for (i = 0; i < boot->patch->nr_images; i++) {
		struct lp_boot_image *image = &boot->images[i];

		image->inode = boot->patch->images[i].inode;
		image->text = boot->patch->images[i].text_offset >> PAGE_SHIFT;
		hash_add_rcu(lp_boot_images, &image->node, (unsigned long)image->inode);
	}
}

static void lp_boot_unwatch(struct lp_boot *boot)
{
	u32 i;

	for (i = 0; i < boot->patch->nr_images; i++)
		hash_del_rcu(&boot->images[i].node);
}

static struct lp_boot *lp_boot_find(const u8 *hash)
{
	struct lp_boot *boot;

	lockdep_assert_held(&lp_boot_lock);
	list_for_each_entry(boot, &lp_boots, node)
		if (!memcmp(boot->patch->hash, hash, LPATCH_HASH_LEN))
			return boot;
	return NULL;
}

static int lp_boot_add_locked(struct lp_patch *patch, u32 flags, struct lp_boot **added,
			      struct netlink_ext_ack *extack)
{
	struct lp_boot *boot = lp_boot_find(patch->hash);

	if (boot && boot->flags == flags) {
		NL_SET_ERR_MSG(extack, "the patch has a boot entry already");
		return -EEXIST;
	}
	if (boot) {
		WRITE_ONCE(boot->flags, flags);
		return 0;
	}
	boot = kzalloc(struct_size(boot, images, patch->nr_images), GFP_KERNEL_ACCOUNT);
	if (!boot)
		return -ENOMEM;
	kref_init(&boot->ref);
	mutex_init(&boot->lock);
	boot->id = ++lp_boot_last_id;
	lpatch_patch_get(patch);
	boot->patch = patch;
	boot->flags = flags;
	__module_get(THIS_MODULE);
	list_add_tail(&boot->node, &lp_boots);
	lp_boot_watch(boot);
	kref_get(&boot->ref);
	*added = boot;
	return 0;
}

/**
 * lpatch_boot_add() - apply a patch to each process that maps its images from now on
 * @patch: sealed
 * @flags: enum lpatch_boot_flags
 * @extack: set to the reason of a failure
 *
 * Processes that have already mapped the images are not patched. If the patch already has an entry,
 * its flags are changed in place, so that no start misses it.
 *
 * Return: 0 or a negative errno.
 */
int lpatch_boot_add(struct lp_patch *patch, u32 flags, struct netlink_ext_ack *extack)
{
	struct lp_boot *added = NULL;
	int ret;

	if (!lp_boot_on) {
		NL_SET_ERR_MSG(extack,
			       "patches are not applied to programs as they start: the module's parameter boot is off");
		return -EOPNOTSUPP;
	}
	mutex_lock(&lp_boot_lock);
	ret = lp_boot_add_locked(patch, flags, &added, extack);
	mutex_unlock(&lp_boot_lock);
	if (added) {
		/* Set the marks first. Pairs with the acquire in lp_start_fresh(). */
		smp_store_release(&added->since, lpatch_history_begin());
		lpatch_boot_put(added);
	}
	return ret;
}

/**
 * lpatch_boot_remove() - remove a boot entry
 * @hash: of its patch
 *
 * Return: 0 or -ENOENT.
 */
int lpatch_boot_remove(const u8 *hash)
{
	struct lp_boot *boot;

	mutex_lock(&lp_boot_lock);
	boot = lp_boot_find(hash);
	if (boot) {
		list_del(&boot->node);
		WRITE_ONCE(boot->removed, true);
		lp_boot_unwatch(boot);
		if (list_empty(&lp_boots))
			lpatch_history_forget();
	}
	mutex_unlock(&lp_boot_lock);
	if (!boot)
		return -ENOENT;
	lpatch_audit_patch("boot-remove", boot->patch, 0);
	lpatch_boot_put(boot);
	module_put(THIS_MODULE);
	return 0;
}

static void lp_boot_tell(struct lp_boot *boot, struct lp_boot_info *info)
{
	info->patch = boot->patch;
	info->flags = boot->flags;
	mutex_lock(&boot->lock);
	info->applied = boot->applied;
	info->failed = boot->failed;
	strscpy(info->message, boot->message, sizeof(info->message));
	mutex_unlock(&boot->lock);
}

/**
 * lpatch_boot_each() - call a function for each boot entry
 * @position: 0 to begin; set to where to continue if @fn stops the walk
 * @fn: a nonzero return value stops the walk before this entry
 * @arg: passed to @fn
 *
 * Return: the last return value of @fn, or -ENOMEM.
 */
int lpatch_boot_each(long *position, int (*fn)(const struct lp_boot_info *boot, void *arg), void *arg)
{
	struct lp_boot_info *info = kmalloc(sizeof(*info), GFP_KERNEL);
	struct lp_boot *boot;
	int ret = 0;

	if (!info)
		return -ENOMEM;
	mutex_lock(&lp_boot_lock);
	list_for_each_entry(boot, &lp_boots, node) {
		if (boot->id <= *position)
			continue;
		lp_boot_tell(boot, info);
		ret = fn(info, arg);
		if (ret)
			break;
		*position = boot->id;
	}
	mutex_unlock(&lp_boot_lock);
	kfree(info);
	return ret;
}
