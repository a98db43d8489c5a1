// SPDX-License-Identifier: GPL-2.0
/*
 * Boot patch: applies a patch to each process as it starts, before the first instruction of the
 * code that the patch changes.
 *
 * lpatch_start_mapped() (see hooks.c) is called for each mapping of a file, in execve() and in the
 * mmap() of a dynamic linker. It is called several times for one start: a dynamic linker first maps
 * a whole file and then its text. That is required, because an image is found only once its text is
 * mapped executable.
 *
 * If the file is an image of a boot entry, the thread checks whether all images of the patch are
 * mapped. If so, it applies the patch to its own process before that system call returns to user
 * mode, that is before any instruction of the new mapping. Usually it is the only thread, and no
 * thread has to be stopped. If there are others, as with dlopen(), it stops them in an ordinary
 * window.
 */

#include <linux/fs.h>
#include <linux/hashtable.h>
#include <linux/list.h>
#include <linux/mm.h>
#include <linux/mmap_lock.h>
#include <linux/module.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/task_work.h>

#include "arch.h"
#include "boot.h"
#include "compat.h"
#include "event.h"
#include "history.h"
#include "load.h"
#include "op.h"
#include "patch.h"
#include "run.h"
#include "start.h"
#include "target.h"
#include "trace.h"

/* How long threads that are in the way may delay a start, as in a dlopen(). */
#define LP_START_TIMEOUT NSEC_PER_SEC

/* Entries that may be added between counting and collecting them. */
#define LP_START_SLACK 8

/* Number of files remembered for one system call; execve() maps a program and its interpreter. */
#define LP_START_FILES 4

/**
 * struct lp_start - work of a thread that mapped images, done on its way to user mode
 * @head: its task_work
 * @node: in the hash by thread; lp_starts_lock
 * @task: the thread that runs it; compared only
 * @nr: number of @files in use; accessed only by @task, like the fields below
 * @all: there were more files than fit
 * @files: the files that it mapped
 * @files.inode: compared only
 * @files.fresh: it was never executable in this mm before, according to lpatch_history_first()
 *
 * One work serves all boot entries.
 */
struct lp_start {
	struct callback_head head;
	struct hlist_node node;
	const struct task_struct *task;
	unsigned int nr;
	bool all;
	struct lp_start_file {
		const struct inode *inode;
		bool fresh;
	} files[LP_START_FILES];
};

/* Protects the hash. */
static DEFINE_SPINLOCK(lp_starts_lock);
static DEFINE_HASHTABLE(lp_starts, 8);

static const char lp_start_no_memory[] = "there was no memory to patch a process as it started";

/* Records and reports the result of @op in its boot entry. */
static void lp_start_outcome(const struct lp_op *op)
{
	const struct lp_outcome *out = &op->outcome;
	struct lp_boot *boot = op->request->boot;

	/* A canceled operation means that the process is being killed. */
	if (out->refusal == LPATCH_REFUSAL_ALREADY || out->refusal == LPATCH_REFUSAL_CANCELED)
		return;
	if (out->refusal != LPATCH_REFUSAL_NONE)
		lpatch_boot_failed(boot, out->message);
	else
		lpatch_boot_applied(boot);
	trace_boot(op->request->pid, op->patch->name, out);
	lpatch_event(op);
}

/*
 * Are all images mapped, so that the patch can be applied? Reports a refusal unless an image is
 * just missing.
 */
static bool lp_start_is_due(struct lp_op *op)
{
	int ret = lpatch_op_lock_memory(op, &op->outcome);

	if (!ret) {
		ret = lpatch_load_find_images(op);
		mmap_read_unlock(op->target->mm);
	}
	/* An image that is mapped twice is a failure. */
	if (ret && op->outcome.refusal != LPATCH_REFUSAL_IMAGE_MISSING)
		lp_start_outcome(op);
	return !ret;
}

static struct lp_start_file *lp_start_file(struct lp_start *start, const struct inode *inode)
{
	unsigned int i;

	for (i = 0; i < start->nr; i++)
		if (start->files[i].inode == inode)
			return &start->files[i];
	return NULL;
}

/* For lpatch_boot_collect(). */
static bool lp_start_wants(const struct inode *inode, void *arg)
{
	struct lp_start *start = arg;

	return start->all || lp_start_file(start, inode);
}

/*
 * Return: bit mask of the images of the entry that this system call made executable for the first
 * time.
 */
static u32 lp_start_fresh(struct lp_start *start, const struct lp_boot *boot)
{
	u32 i, fresh = 0;

	/* Pairs with the release in lpatch_boot_add(). */
	if (!lpatch_history_is_known(current->mm, smp_load_acquire(&boot->since)))
		return 0;
	for (i = 0; i < boot->patch->nr_images; i++) {
		const struct lp_start_file *file = lp_start_file(start, boot->images[i].inode);

		if (file && file->fresh)
			fresh |= BIT(i);
	}
	return fresh;
}

static void lp_start_do(struct lp_start *start, struct lp_boot *boot, struct lp_target *target)
{
	const struct lp_request request = {
		.verb = LP_APPLY,
		.pid = task_tgid_nr(current),
		.max_stop = LPATCH_MAX_STOP_DEFAULT,
		.timeout = LP_START_TIMEOUT,
		.boot = boot,
		.fresh = lp_start_fresh(start, boot),
	};
	struct lp_op *op;

	if (READ_ONCE(boot->removed))
		return;
	op = lpatch_op_alloc(&request, boot->patch);
	if (!op) {
		lpatch_boot_failed(boot, lp_start_no_memory);
		return;
	}
	op->target = target;
	if (lp_start_is_due(op)) {
		lpatch_op_run_here(op);
		lp_start_outcome(op);
	}
	lpatch_op_free(op);
}

/* Return: the entries for the mapped files, referenced, in their order; an array for kvfree(). */
static struct lp_boot **lp_start_boots(struct lp_start *start, unsigned int *nr)
{
	struct lp_boot **boots = NULL;
	unsigned int i, max = 0;

	for (;;) {
		*nr = lpatch_boot_collect(lp_start_wants, start, boots, max);
		if (*nr <= max)
			return boots;
		for (i = 0; i < max; i++)
			lpatch_boot_put(boots[i]);
		kvfree(boots);
		max = *nr + LP_START_SLACK;
		/*
		 * There is no caller to report a failure to, and a process must not start unpatched
		 * for want of a few bytes.
		 */
		boots = kvmalloc_array(max, sizeof(*boots), GFP_KERNEL_ACCOUNT | __GFP_NOFAIL);
	}
}

/*
 * Applies to the process of current the patches whose images are all mapped, in the order of their
 * entries.
 */
static void lp_start_apply(struct lp_start *start)
{
	struct lp_target *target;
	struct lp_boot **boots;
	unsigned int i, nr;

	boots = lp_start_boots(start, &nr);
	target = lpatch_target_get(current->mm, current);
	for (i = 0; i < nr; i++) {
		if (target)
			lp_start_do(start, boots[i], target);
		else
			lpatch_boot_failed(boots[i], lp_start_no_memory);
		lpatch_boot_put(boots[i]);
	}
	kvfree(boots);
	if (target)
		lpatch_target_put(target);
}

/* Runs in the thread that mapped the files, on its way to user mode, or when it exits. */
static void lp_start_run(struct callback_head *head)
{
	struct lp_start *start = container_of(head, struct lp_start, head);

	/* Unhash before checking: a file that is mapped from here on queues another work. */
	spin_lock(&lp_starts_lock);
	hash_del(&start->node);
	spin_unlock(&lp_starts_lock);
	if (!(current->flags & PF_EXITING) && current->mm)
		lp_start_apply(start);
	kfree(start);
	module_put(THIS_MODULE);
}

static struct lp_start *lp_start_find(void)
{
	struct lp_start *start, *found = NULL;

	spin_lock(&lp_starts_lock);
	hash_for_each_possible(lp_starts, start, node, (unsigned long)current)
		if (start->task == current)
			found = start;
	spin_unlock(&lp_starts_lock);
	return found;
}

/*
 * Return: the pending work of current, queued if necessary, or NULL if the thread is exiting. The
 * work runs in this thread, so not before the caller is done with it.
 */
static struct lp_start *lp_start_get(void)
{
	struct lp_start *start = lp_start_find();

	if (start)
		return start;
	/* As in lp_start_boots(). */
	start = kzalloc(sizeof(*start), GFP_KERNEL_ACCOUNT | __GFP_NOFAIL);
	start->task = current;
	init_task_work(&start->head, lp_start_run);
	if (lpatch_task_work_add(current, &start->head, TWA_RESUME)) {
		kfree(start);
		return NULL;
	}
	spin_lock(&lp_starts_lock);
	hash_add(lp_starts, &start->node, (unsigned long)current);
	spin_unlock(&lp_starts_lock);
	__module_get(THIS_MODULE);
	return start;
}

/*
 * Makes current check the boot entries for an image before it returns to user mode, unless it is
 * exiting. One system call may map an image several times: @fresh is the state before the call.
 * Called with a reference on the module and with an mmap_lock held.
 */
static void lp_start_look_later(const struct inode *inode, bool fresh)
{
	struct lp_start *start = lp_start_get();
	struct lp_start_file *file;

	if (!start)
		return;
	file = lp_start_file(start, inode);
	if (file)
		file->fresh |= fresh;
	else if (start->nr < LP_START_FILES)
		start->files[start->nr++] = (struct lp_start_file){ .inode = inode, .fresh = fresh };
	else
		start->all = true;
}

/**
 * lpatch_start_mapped() - handle a new, split or merged mapping of a file
 * @vma: in its new state
 *
 * Mappings made by a kernel thread are ignored. So are VMAs that a process splits or merges long
 * after it mapped the file, since that is not a start.
 *
 * Context: mmap_lock of the mm held for writing; may sleep.
 */
void lpatch_start_mapped(struct vm_area_struct *vma)
{
	struct mm_struct *mm = vma->vm_mm;
	const struct inode *inode;
	bool text, first;

	if (!vma->vm_file || !(vma->vm_flags & VM_MAYEXEC))
		return;
	if (mm != current->mm || (current->flags & PF_KTHREAD))
		return;
	if (likely(!lpatch_boot_wants(vma, &text)) || !try_module_get(THIS_MODULE))
		return;
	inode = file_inode(vma->vm_file);
	first = (vma->vm_flags & VM_EXEC) && lpatch_history_first(mm, inode);
	if (lpatch_arch_in_mapping_call() && (text || first))
		lp_start_look_later(inode, first);
	module_put(THIS_MODULE);
}
