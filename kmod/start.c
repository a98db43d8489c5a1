// SPDX-License-Identifier: GPL-2.0
/*
 * What a thread does for boot entries of which it has mapped an image, before it is in user mode
 * again: it looks whether all images of a patch are there, and if so applies it by an ordinary
 * operation. The only thread that there usually is waits here meanwhile, so the stop window finds
 * it asleep and costs nobody anything; and should there be more threads, as with dlopen(), the
 * operation's checks hold for them.
 */

#include <linux/kref.h>
#include <linux/list.h>
#include <linux/list_sort.h>
#include <linux/mm.h>
#include <linux/mmap_lock.h>
#include <linux/module.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/task_work.h>

#include "boot.h"
#include "compat.h"
#include "lineage.h"
#include "load.h"
#include "op.h"
#include "patch.h"
#include "start.h"
#include "target.h"

/* How long a start may be held up by threads that are in the way; those of a dlopen(), if any. */
#define LP_START_TIMEOUT NSEC_PER_SEC

/*
 * A process of one thread waits here whatever happens, and a stop window stops nobody else. The
 * usual limit would only leave it unpatched where a virtual machine is not given its processors.
 */
#define LP_START_TIMEOUT_ALONE (10ULL * NSEC_PER_SEC)

/* So many operations are done by one kernel thread: each takes 6 KiB until it is told of. */
#define LP_START_BATCH 32

/**
 * struct lp_start - what a thread that mapped images does on its way to user mode
 * @head: its work
 * @node: in the list of all; lp_starts_lock
 * @task: that runs it; compared only
 * @looks: struct lp_look.node; of @task alone
 *
 * One for all entries, so that what takes time whatever the patch is, a kernel thread and waiting for
 * CPUs, is needed once for many.
 */
struct lp_start {
	struct callback_head head;
	struct list_head node;
	const struct task_struct *task;
	struct list_head looks;
};

/**
 * struct lp_look - an entry for which such a thread may have to do something
 * @node: in its list of them
 * @of_boot: in the list of the entry, until the look begins; lp_starts_lock
 * @task: which thread; compared only
 * @boot: the entry, referenced
 */
struct lp_look {
	struct list_head node;
	struct list_head of_boot;
	const struct task_struct *task;
	struct lp_boot *boot;
};

/* Covers the list, and lp_boot.looks of all entries. */
static DEFINE_SPINLOCK(lp_starts_lock);
static LIST_HEAD(lp_starts);

static const char lp_start_no_memory[] = "there was no memory to patch a process as it started";

static void lp_start_op_free(struct lp_op *op)
{
	lp_patch_put(op->patch);
	lp_op_free(op);
}

/* Is it time to apply the patch: are all images there? Otherwise @op is refused, and that is told. */
static bool lp_start_is_due(struct lp_op *op)
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
static struct lp_op *lp_start_op(struct lp_boot *boot, struct lp_target *target, bool alone)
{
	struct lp_op *op;

	if (READ_ONCE(boot->removed))
		return NULL;
	op = lp_op_alloc(LP_APPLY);
	if (!op) {
		lp_boot_failed(boot, lp_start_no_memory);
		return NULL;
	}
	op->boot = boot;
	op->pid = task_tgid_nr(current);
	op->max_stop = alone ? LP_START_TIMEOUT_ALONE : LPATCH_MAX_STOP_DEFAULT;
	op->timeout = alone ? LP_START_TIMEOUT_ALONE : LP_START_TIMEOUT;
	op->target = target;
	lp_patch_get(boot->patch);
	op->patch = boot->patch;
	if (lp_start_is_due(op))
		return op;
	lp_start_op_free(op);
	return NULL;
}

/* Is there nobody but current who runs on its memory? */
static bool lp_start_is_alone(void)
{
	return thread_group_empty(current) && atomic_read(&current->mm->mm_users) == 1;
}

/* Does the operations, which end here. */
static void lp_start_do(struct list_head *ops, bool alone)
{
	struct lp_op *op, *next;
	int ret = 0;

	if (!list_empty(ops))
		ret = lp_ops_run(ops, alone);
	list_for_each_entry_safe(op, next, ops, node) {
		if (ret && ret != -EINTR) /* that is: it is being killed */
			lp_op_refuse(op, LPATCH_REFUSAL_NO_MEMORY, lp_start_no_memory);
		if (ret != -EINTR)
			lp_boot_outcome(op);
		lp_start_op_free(op);
	}
}

static void lp_start_do_all(struct lp_start *start, struct lp_target *target)
{
	bool alone = lp_start_is_alone();
	struct lp_look *look;
	unsigned int nr = 0;
	LIST_HEAD(ops);

	list_for_each_entry(look, &start->looks, node) {
		struct lp_op *op = lp_start_op(look->boot, target, alone);

		if (!op)
			continue;
		list_add_tail(&op->node, &ops);
		if (++nr % LP_START_BATCH)
			continue;
		lp_start_do(&ops, alone);
		INIT_LIST_HEAD(&ops);
	}
	lp_start_do(&ops, alone);
}

static int lp_look_cmp(void *unused, const struct list_head *a, const struct list_head *b)
{
	const struct lp_look *x = list_entry(a, struct lp_look, node);
	const struct lp_look *y = list_entry(b, struct lp_look, node);

	return x->boot->id > y->boot->id;
}

/* Applies to the process of current the patches for which it is time, in the order of their entries. */
static void lp_start_apply(struct lp_start *start)
{
	struct lp_look *look;
	struct lp_target *target;

	list_sort(NULL, &start->looks, lp_look_cmp);
	/*
	 * What a child inherited, that now loads a library, lies below. Memory that came by execve()
	 * of this very thread inherited nothing, and then nobody else's has to be searched.
	 */
	if ((current->flags & PF_FORKNOEXEC) && lp_target_count())
		lp_lineage_find();
	target = lp_target_get(current->mm, current);
	if (target) {
		lp_start_do_all(start, target);
		lp_target_put(target);
		return;
	}
	list_for_each_entry(look, &start->looks, node)
		lp_boot_failed(look->boot, lp_start_no_memory);
}

/* Runs in the thread that mapped the files, on its way to user mode, or when it exits. */
static void lp_start_run(struct callback_head *head)
{
	struct lp_start *start = container_of(head, struct lp_start, head);
	struct lp_look *look, *next;

	/* Before the look: what is mapped from here on is looked at again. */
	spin_lock(&lp_starts_lock);
	list_del(&start->node);
	list_for_each_entry(look, &start->looks, node)
		list_del(&look->of_boot);
	spin_unlock(&lp_starts_lock);
	if (!(current->flags & PF_EXITING) && current->mm)
		lp_start_apply(start);
	list_for_each_entry_safe(look, next, &start->looks, node) {
		lp_boot_put(look->boot);
		kfree(look);
	}
	kfree(start);
	module_put(THIS_MODULE);
}

/* Will this thread look at the entry? execve() maps several segments of one file. */
static bool lp_start_will_look(const struct lp_boot *boot)
{
	const struct lp_look *look;
	bool found = false;

	spin_lock(&lp_starts_lock);
	list_for_each_entry(look, &boot->looks, of_boot)
		found |= look->task == current;
	spin_unlock(&lp_starts_lock);
	return found;
}

static struct lp_start *lp_start_find(void)
{
	struct lp_start *start, *found = NULL;

	spin_lock(&lp_starts_lock);
	list_for_each_entry(start, &lp_starts, node)
		if (start->task == current)
			found = start;
	spin_unlock(&lp_starts_lock);
	return found;
}

/*
 * What current does on its way to user mode, which is begun if need be. It runs in this thread, so not
 * before the caller is done with it. Returns NULL if the thread is exiting.
 */
static struct lp_start *lp_start_get(void)
{
	struct lp_start *start = lp_start_find();

	if (start)
		return start;
	/* There is nobody here to tell that a process starts unpatched for want of some bytes. */
	start = kmalloc(sizeof(*start), GFP_KERNEL | __GFP_NOFAIL);
	start->task = current;
	INIT_LIST_HEAD(&start->looks);
	init_task_work(&start->head, lp_start_run);
	if (lp_task_work_add(current, &start->head, TWA_RESUME)) {
		kfree(start);
		return NULL;
	}
	spin_lock(&lp_starts_lock);
	list_add(&start->node, &lp_starts);
	spin_unlock(&lp_starts_lock);
	__module_get(THIS_MODULE);
	return start;
}

/**
 * lp_start_look_later() - have current look at an entry before it is in user mode again
 * @boot: of which it maps an image
 *
 * Nothing is done for a thread that is exiting, or that will look at the entry anyway.
 *
 * Context: process, with any mmap_lock held.
 */
void lp_start_look_later(struct lp_boot *boot)
{
	struct lp_start *start;
	struct lp_look *look;

	if (lp_start_will_look(boot))
		return;
	start = lp_start_get();
	if (!start)
		return;
	look = kmalloc(sizeof(*look), GFP_KERNEL | __GFP_NOFAIL);
	look->boot = boot;
	look->task = current;
	kref_get(&boot->ref);
	spin_lock(&lp_starts_lock);
	list_add(&look->node, &start->looks);
	list_add(&look->of_boot, &boot->looks);
	spin_unlock(&lp_starts_lock);
}
