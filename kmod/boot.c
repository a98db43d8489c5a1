// SPDX-License-Identifier: GPL-2.0
/*
 * Boot patch: a patch is applied to each process as it starts, before the first instruction of the
 * code that it changes.
 *
 * For each image of the patch there is a uprobe consumer on the inode whose filter always says no.
 * So no breakpoint is ever placed, but uprobe_mmap() asks the filter whenever somebody maps the
 * file, in the context of the one who does, in execve() and in the mmap() of a dynamic linker alike
 * (kernel/events/uprobes.c). The filter queues a work that runs before that very system call
 * returns to user mode, which is before any instruction of the new mapping. The work looks whether
 * all images of a patch are there, and if so applies it by an ordinary operation: the only thread
 * that there usually is waits in that work meanwhile, so the stop window finds it asleep and costs
 * nobody anything; and should there be more threads, as with dlopen(), the operation's checks hold
 * for them.
 *
 * It is asked several times for one start (a dynamic linker maps a file as a whole first, and then
 * its text), and must be: only when the text is mapped executable is the image found.
 */

#include <linux/kref.h>
#include <linux/list.h>
#include <linux/list_sort.h>
#include <linux/mm.h>
#include <linux/mmap_lock.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/mutex.h>
#include <linux/netlink.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/task_work.h>

#include "boot.h"
#include "compat.h"
#include "event.h"
#include "lineage.h"
#include "load.h"
#include "op.h"
#include "patch.h"
#include "target.h"
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

/* How long a start may be held up by threads that are in the way; those of a dlopen(), if any. */
#define LP_BOOT_TIMEOUT NSEC_PER_SEC

/*
 * A process of one thread waits here whatever happens, and a stop window stops nobody else. The
 * usual limit would only leave it unpatched where a virtual machine is not given its processors.
 */
#define LP_BOOT_TIMEOUT_ALONE (10ULL * NSEC_PER_SEC)

/* So many operations are done by one kernel thread: each takes 6 KiB until it is told of. */
#define LP_BOOT_BATCH 32

/**
 * struct lp_boot - a boot entry
 * @ref: one while it is listed, one for each look
 * @node: in the list of entries; lp_boot_lock
 * @id: grows along the list
 * @patch: referenced
 * @flags: enum lpatch_boot_flags
 * @registrar: the thread that is registering the consumers, which is not to be patched thereby
 * @removed: looks to come do nothing
 * @lock: covers the counters and the message
 * @looks: to come; lp_boot_starts_lock
 * @applied: processes that were patched
 * @failed: processes that could not be
 * @message: why the last one could not
 * @nr_probes: how many of @probes are registered
 * @probes: one for each image
 */
struct lp_boot {
	struct kref ref;
	struct list_head node;
	long id;
	struct lp_patch *patch;
	u32 flags;
	struct task_struct *registrar;
	bool removed;
	struct mutex lock; /* see above */
	struct list_head looks;
	u64 applied;
	u64 failed;
	char message[LPATCH_MESSAGE_MAX + 1];
	u32 nr_probes;
	struct lp_boot_probe {
		struct uprobe_consumer consumer;
		struct uprobe *uprobe;
		struct lp_boot *boot;
	} probes[];
};

/**
 * struct lp_boot_start - what a thread that mapped images does on its way to user mode
 * @head: its work
 * @node: in the list of all; lp_boot_starts_lock
 * @task: that runs it; compared only
 * @looks: struct lp_boot_look.node; of @task alone
 *
 * One for all entries, so that what takes time whatever the patch is, a kernel thread and waiting for
 * CPUs, is needed once for many.
 */
struct lp_boot_start {
	struct callback_head head;
	struct list_head node;
	const struct task_struct *task;
	struct list_head looks;
};

/**
 * struct lp_boot_look - an entry for which such a thread may have to do something
 * @node: in its list of them
 * @of_boot: in the list of the entry, until the look begins; lp_boot_starts_lock
 * @task: which thread; compared only
 * @boot: the entry, referenced
 */
struct lp_boot_look {
	struct list_head node;
	struct list_head of_boot;
	const struct task_struct *task;
	struct lp_boot *boot;
};

static DEFINE_SPINLOCK(lp_boot_starts_lock);
static LIST_HEAD(lp_boot_starts);

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

static const char lp_boot_no_memory[] = "there was no memory to patch a process as it started";

/* Writes down that a process could not be patched, and why. */
static void lp_boot_failed(struct lp_boot *boot, const char *message)
{
	mutex_lock(&boot->lock);
	boot->failed++;
	strscpy(boot->message, message, sizeof(boot->message));
	mutex_unlock(&boot->lock);
	if (READ_ONCE(boot->flags) & LPATCH_BOOT_FLAGS_KILL)
		send_sig(SIGKILL, current, 1);
}

/* Writes down what became of one start, and tells it. */
static void lp_boot_outcome(struct lp_op *op)
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

static void lp_boot_op_free(struct lp_op *op)
{
	lp_patch_put(op->patch);
	lp_op_free(op);
}

/* Is it time to apply the patch: are all images there? Otherwise @op is refused, and that is told. */
static bool lp_boot_is_due(struct lp_op *op)
{
	struct mm_struct *mm = op->target->mm;
	int ret;

	mmap_read_lock(mm);
	ret = lp_load_find_images(op);
	mmap_read_unlock(mm);
	/* An image that is there twice is a reason to fail. */
	if (ret && op->refusal != LPATCH_REFUSAL_IMAGE_MISSING)
		lp_boot_outcome(op);
	return !ret;
}

/* Return: what is to be done for an entry to the process of current, or NULL. */
static struct lp_op *lp_boot_op(struct lp_boot *boot, struct lp_target *target, bool alone)
{
	struct lp_op *op;

	if (READ_ONCE(boot->removed))
		return NULL;
	op = lp_op_alloc(LP_APPLY);
	if (!op) {
		lp_boot_failed(boot, lp_boot_no_memory);
		return NULL;
	}
	op->boot = boot;
	op->pid = task_tgid_nr(current);
	op->max_stop = alone ? LP_BOOT_TIMEOUT_ALONE : LPATCH_MAX_STOP_DEFAULT;
	op->timeout = alone ? LP_BOOT_TIMEOUT_ALONE : LP_BOOT_TIMEOUT;
	op->target = target;
	lp_patch_get(boot->patch);
	op->patch = boot->patch;
	if (lp_boot_is_due(op))
		return op;
	lp_boot_op_free(op);
	return NULL;
}

/* Is there nobody but current who runs on its memory? */
static bool lp_boot_is_alone(void)
{
	return thread_group_empty(current) && atomic_read(&current->mm->mm_users) == 1;
}

/* Does the operations, which end here. */
static void lp_boot_do(struct list_head *ops, bool alone)
{
	struct lp_op *op, *next;
	int ret = 0;

	if (!list_empty(ops))
		ret = lp_ops_run(ops, alone);
	list_for_each_entry_safe(op, next, ops, node) {
		if (ret && ret != -EINTR) /* that is: it is being killed */
			lp_op_refuse(op, LPATCH_REFUSAL_NO_MEMORY, lp_boot_no_memory);
		if (ret != -EINTR)
			lp_boot_outcome(op);
		lp_boot_op_free(op);
	}
}

static void lp_boot_do_all(struct lp_boot_start *start, struct lp_target *target)
{
	bool alone = lp_boot_is_alone();
	struct lp_boot_look *look;
	unsigned int nr = 0;
	LIST_HEAD(ops);

	list_for_each_entry(look, &start->looks, node) {
		struct lp_op *op = lp_boot_op(look->boot, target, alone);

		if (!op)
			continue;
		list_add_tail(&op->node, &ops);
		if (++nr % LP_BOOT_BATCH)
			continue;
		lp_boot_do(&ops, alone);
		INIT_LIST_HEAD(&ops);
	}
	lp_boot_do(&ops, alone);
}

static int lp_boot_look_cmp(void *unused, const struct list_head *a, const struct list_head *b)
{
	const struct lp_boot_look *x = list_entry(a, struct lp_boot_look, node);
	const struct lp_boot_look *y = list_entry(b, struct lp_boot_look, node);

	return x->boot->id > y->boot->id;
}

/* Applies to the process of current the patches for which it is time, in the order of their entries. */
static void lp_boot_apply(struct lp_boot_start *start)
{
	struct lp_boot_look *look;
	struct lp_target *target;

	list_sort(NULL, &start->looks, lp_boot_look_cmp);
	/*
	 * What a child inherited, that now loads a library, lies below. Memory that came by execve()
	 * of this very thread inherited nothing, and then nobody else's has to be searched.
	 */
	if ((current->flags & PF_FORKNOEXEC) && lp_target_count())
		lp_lineage_find();
	target = lp_target_get(current->mm, current);
	if (target) {
		lp_boot_do_all(start, target);
		lp_target_put(target);
		return;
	}
	list_for_each_entry(look, &start->looks, node)
		lp_boot_failed(look->boot, lp_boot_no_memory);
}

/* Runs in the thread that mapped the files, on its way to user mode, or when it exits. */
static void lp_boot_run(struct callback_head *head)
{
	struct lp_boot_start *start = container_of(head, struct lp_boot_start, head);
	struct lp_boot_look *look, *next;

	/* Before the look: what is mapped from here on is looked at again. */
	spin_lock(&lp_boot_starts_lock);
	list_del(&start->node);
	list_for_each_entry(look, &start->looks, node)
		list_del(&look->of_boot);
	spin_unlock(&lp_boot_starts_lock);
	if (!(current->flags & PF_EXITING) && current->mm)
		lp_boot_apply(start);
	list_for_each_entry_safe(look, next, &start->looks, node) {
		kref_put(&look->boot->ref, lp_boot_free);
		kfree(look);
	}
	kfree(start);
	module_put(THIS_MODULE);
}

/* Will this thread look at the entry? execve() maps several segments of one file. */
static bool lp_boot_is_looked_at(const struct lp_boot *boot)
{
	const struct lp_boot_look *look;
	bool found = false;

	spin_lock(&lp_boot_starts_lock);
	list_for_each_entry(look, &boot->looks, of_boot)
		found |= look->task == current;
	spin_unlock(&lp_boot_starts_lock);
	return found;
}

static struct lp_boot_start *lp_boot_find_start(void)
{
	struct lp_boot_start *start, *found = NULL;

	spin_lock(&lp_boot_starts_lock);
	list_for_each_entry(start, &lp_boot_starts, node)
		if (start->task == current)
			found = start;
	spin_unlock(&lp_boot_starts_lock);
	return found;
}

/*
 * What current does on its way to user mode, which is begun if need be. It runs in this thread, so not
 * before the caller is done with it. Returns NULL if the thread is exiting.
 */
static struct lp_boot_start *lp_boot_get_start(void)
{
	struct lp_boot_start *start = lp_boot_find_start();

	if (start)
		return start;
	/* There is nobody here to tell that a process starts unpatched for want of some bytes. */
	start = kmalloc(sizeof(*start), GFP_KERNEL | __GFP_NOFAIL);
	start->task = current;
	INIT_LIST_HEAD(&start->looks);
	init_task_work(&start->head, lp_boot_run);
	if (lp_task_work_add(current, &start->head, TWA_RESUME)) {
		kfree(start);
		return NULL;
	}
	spin_lock(&lp_boot_starts_lock);
	list_add(&start->node, &lp_boot_starts);
	spin_unlock(&lp_boot_starts_lock);
	__module_get(THIS_MODULE);
	return start;
}

/*
 * Called with mmap_lock held for writing: by whoever maps the file, and for each process that maps it
 * when a consumer comes or goes. Always says no.
 */
static LP_UPROBE_FILTER(lp_boot_filter)
{
	struct lp_boot_probe *probe = container_of(self, struct lp_boot_probe, consumer);
	struct lp_boot *boot = probe->boot;
	struct lp_boot_start *start;
	struct lp_boot_look *look;

	if (mm != current->mm || (current->flags & PF_KTHREAD) || current == READ_ONCE(boot->registrar) ||
	    lp_boot_is_looked_at(boot))
		return false;
	start = lp_boot_get_start();
	if (!start)
		return false;
	look = kmalloc(sizeof(*look), GFP_KERNEL | __GFP_NOFAIL);
	look->boot = boot;
	look->task = current;
	kref_get(&boot->ref);
	spin_lock(&lp_boot_starts_lock);
	list_add(&look->node, &start->looks);
	list_add(&look->of_boot, &boot->looks);
	spin_unlock(&lp_boot_starts_lock);
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
		kref_put(&boot->ref, lp_boot_free);
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
	kref_put(&boot->ref, lp_boot_free);
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
