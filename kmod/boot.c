// SPDX-License-Identifier: GPL-2.0
/*
 * Boot patch: a patch is applied to each process as it starts, before the first instruction of the
 * code that it changes.
 *
 * For each image of the patch there is a uprobe consumer on the inode whose filter always says no.
 * So no breakpoint is ever placed, but uprobe_mmap() asks the filter whenever somebody maps the
 * file, in the context of the one who does, in execve() and in the mmap() of a dynamic linker alike
 * (kernel/events/uprobes.c). The filter has that thread look, before that very system call returns
 * to user mode, which is before any instruction of the new mapping, whether all is there (start.c).
 *
 * It is asked several times for one start (a dynamic linker maps a file as a whole first, and then
 * its text), and must be: only when the text is mapped executable is the image found.
 */

#include <linux/kref.h>
#include <linux/list.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/mutex.h>
#include <linux/netlink.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include "boot.h"
#include "compat.h"
#include "event.h"
#include "op.h"
#include "patch.h"
#include "start.h"
#include "trace.h"

/*
 * Where the consumer is, from the begin of the executable segment: inside of an instruction or of
 * a header, where nobody else can have a use for a probe. Were there another consumer at the same
 * place and did it say yes, those behind it would not be asked.
 */
#define LP_BOOT_OFFSET 1

/*
 * For a machine that does not come up: lpatch.boot=off on the kernel's command line, from where
 * modprobe takes the parameters of modules. It is decided here, and not only by those who register
 * entries, so that no hook, trigger or unit can forget to ask.
 */
static bool lp_boot_on = true;
module_param_named(boot, lp_boot_on, bool, 0444);
MODULE_PARM_DESC(boot, "Apply patches to programs as they start (default on)");

/* Covers the list. Held while consumers are registered, which takes mmap_lock of who maps the file. */
static DEFINE_MUTEX(lp_boot_lock);
static LIST_HEAD(lp_boots);
static long lp_boot_last_id;

static void lp_boot_free(struct kref *ref)
{
	struct lp_boot *boot = container_of(ref, struct lp_boot, ref);

	lp_patch_put(boot->patch);
	kfree(boot);
}

void lp_boot_put(struct lp_boot *boot)
{
	kref_put(&boot->ref, lp_boot_free);
}

/* Writes down that current could not be patched, and why. */
void lp_boot_failed(struct lp_boot *boot, const char *message)
{
	mutex_lock(&boot->lock);
	boot->failed++;
	strscpy(boot->message, message, sizeof(boot->message));
	mutex_unlock(&boot->lock);
	if (READ_ONCE(boot->flags) & LPATCH_BOOT_FLAGS_KILL)
		send_sig(SIGKILL, current, 1);
}

/* Writes down what became of one start, of which @op was a part, and tells it. */
void lp_boot_outcome(struct lp_op *op)
{
	struct lp_boot *boot = op->boot;

	/* Called off if the process is being killed. */
	if (op->refusal == LPATCH_REFUSAL_ALREADY || op->refusal == LPATCH_REFUSAL_CANCELED)
		return;
	if (op->refusal != LPATCH_REFUSAL_NONE) {
		lp_boot_failed(boot, op->message);
	} else {
		mutex_lock(&boot->lock);
		boot->applied++;
		mutex_unlock(&boot->lock);
	}
	trace_boot(op);
	lp_event(op);
}

/*
 * Called with mmap_lock held for writing: by whoever maps the file, and for each process that maps it
 * when a consumer comes or goes. Always says no.
 */
static LP_UPROBE_FILTER(lp_boot_filter)
{
	struct lp_boot_probe *probe = container_of(self, struct lp_boot_probe, consumer);
	struct lp_boot *boot = probe->boot;

	if (mm == current->mm && !(current->flags & PF_KTHREAD) && current != READ_ONCE(boot->registrar))
		lp_start_look_later(boot);
	return false;
}

/* Somebody else's breakpoint at the same place: whether it stays is theirs to say. */
static LP_UPROBE_HANDLER(lp_boot_handler)
{
	return UPROBE_HANDLER_REMOVE;
}

static loff_t lp_boot_offset(const struct lp_image *image)
{
	return image->text_offset + LP_BOOT_OFFSET;
}

static void lp_boot_unregister(struct lp_boot *boot)
{
	while (boot->nr_probes) {
		struct lp_boot_probe *probe = &boot->probes[--boot->nr_probes];
		const struct lp_image *image = &boot->patch->images[boot->nr_probes];

		lp_uprobe_unregister((struct inode *)image->inode, lp_boot_offset(image),
				     &probe->consumer, probe->uprobe);
	}
}

/* Return: 0 or a negative errno with none registered. */
static int lp_boot_register(struct lp_boot *boot)
{
	const struct lp_patch *patch = boot->patch;
	int ret;

	WRITE_ONCE(boot->registrar, current);
	while (boot->nr_probes < patch->nr_images) {
		struct lp_boot_probe *probe = &boot->probes[boot->nr_probes];
		const struct lp_image *image = &patch->images[boot->nr_probes];

		probe->boot = boot;
		probe->consumer.filter = lp_boot_filter;
		probe->consumer.handler = lp_boot_handler;
		ret = lp_uprobe_register((struct inode *)image->inode, lp_boot_offset(image),
					 &probe->consumer, &probe->uprobe);
		if (ret) {
			lp_boot_unregister(boot);
			return ret;
		}
		boot->nr_probes++;
	}
	WRITE_ONCE(boot->registrar, NULL);
	return 0;
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

static int lp_boot_add_locked(struct lp_patch *patch, u32 flags, struct netlink_ext_ack *extack)
{
	struct lp_boot *boot = lp_boot_find(patch->hash);
	int ret;

	if (boot && boot->flags == flags) {
		NL_SET_ERR_MSG(extack, "the patch has a boot entry already");
		return -EEXIST;
	}
	if (boot) {
		WRITE_ONCE(boot->flags, flags);
		return 0;
	}
	boot = kzalloc(struct_size(boot, probes, patch->nr_images), GFP_KERNEL_ACCOUNT);
	if (!boot)
		return -ENOMEM;
	kref_init(&boot->ref);
	mutex_init(&boot->lock);
	INIT_LIST_HEAD(&boot->looks);
	boot->id = ++lp_boot_last_id; /* looks may come before it is listed */
	lp_patch_get(patch);
	boot->patch = patch;
	boot->flags = flags;
	ret = lp_boot_register(boot);
	if (ret) {
		if (ret == -ENOMEM)
			NL_SET_ERR_MSG(extack,
				       "there is no memory to watch for mappings of an image of the patch");
		else
			NL_SET_ERR_MSG(extack,
				       "the kernel cannot watch for mappings of an image of the patch; is it on a file system without page cache?");
		lp_boot_put(boot);
		return ret;
	}
	__module_get(THIS_MODULE);
	list_add_tail(&boot->node, &lp_boots);
	return 0;
}

/**
 * lp_boot_add() - have a patch applied to each process that maps its images from now on
 * @patch: sealed
 * @flags: enum lpatch_boot_flags
 * @extack: gets a sentence that says why not
 *
 * Takes mmap_lock of each process that maps one of the images, one after another, for a moment. An
 * entry that the patch has already gets the flags, and no start goes by without it.
 *
 * Return: 0 or a negative errno.
 */
int lp_boot_add(struct lp_patch *patch, u32 flags, struct netlink_ext_ack *extack)
{
	int ret;

	if (!lp_boot_on) {
		NL_SET_ERR_MSG(extack,
			       "patches are not applied to programs as they start: the module's parameter boot is off");
		return -EOPNOTSUPP;
	}
	mutex_lock(&lp_boot_lock);
	ret = lp_boot_add_locked(patch, flags, extack);
	mutex_unlock(&lp_boot_lock);
	return ret;
}

/**
 * lp_boot_remove() - end a boot entry
 * @hash: of its patch
 *
 * Return: 0 or -ENOENT.
 */
int lp_boot_remove(const u8 *hash)
{
	struct lp_boot *boot;

	mutex_lock(&lp_boot_lock);
	boot = lp_boot_find(hash);
	if (boot) {
		list_del(&boot->node);
		WRITE_ONCE(boot->removed, true);
		lp_boot_unregister(boot);
	}
	mutex_unlock(&lp_boot_lock);
	if (!boot)
		return -ENOENT;
	lp_boot_put(boot);
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
 * lp_boot_each() - call a function for each boot entry
 * @position: 0 to begin; where to go on if @fn ended the walk
 * @fn: nonzero ends the walk before this entry
 * @arg: for @fn
 *
 * Return: what @fn returned last, or -ENOMEM.
 */
int lp_boot_each(long *position, int (*fn)(const struct lp_boot_info *boot, void *arg), void *arg)
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
