// SPDX-License-Identifier: GPL-2.0
/*
 * Boot patch: a patch is applied to each process as it starts, before the first instruction of the
 * code that it changes.
 *
 * Whoever maps a file calls lpatch_start_mapped() (hooks.c), in execve() and in the mmap() of a dynamic linker
 * alike. It is called several times for one start (a dynamic linker maps a file as a whole first, and
 * then its text), and must be: only when the text is mapped executable is the image found.
 *
 * If the file is an image of a boot entry, that thread looks whether all images of the patch are there,
 * and if so applies it to its own process, before that very system call returns to user mode, which is
 * before any instruction of the new mapping. It is the only thread that there usually is, and then
 * nobody has to be stopped; should there be more, as with dlopen(), it stops the others in a window as
 * any.
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

/* How long a start may be held up by threads that are in the way: those of a dlopen(), if any. */
#define LP_START_TIMEOUT NSEC_PER_SEC

/* Entries that may be added between counting them and listing them. */
#define LP_START_SLACK 8

/* An execve() maps a program and its interpreter. */
#define LP_START_FILES 4

/**
 * struct lp_start - what a thread that mapped images does on its way to user mode
 * @head: its work
 * @node: in the hash of all by thread; lp_starts_lock
 * @task: that runs it; compared only
 * @nr: how many of @files are in use; of @task alone, as all that follows
 * @all: there were more
 * @files: what it mapped
 * @files.inode: compared only
 * @files.fresh: it was never executable in this memory before, as lpatch_history_first() said
 *
 * One for all entries.
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

/* Covers the hash. */
static DEFINE_SPINLOCK(lp_starts_lock);
static DEFINE_HASHTABLE(lp_starts, 8);

static const char lp_start_no_memory[] = "there was no memory to patch a process as it started";

/* Writes down what became of one start, of which @op was a part, and tells it. */
static void lp_start_outcome(const struct lp_op *op)
{
	const struct lp_outcome *out = &op->outcome;
	struct lp_boot *boot = op->request->boot;

	/* Called off if the process is being killed. */
	if (out->refusal == LPATCH_REFUSAL_ALREADY || out->refusal == LPATCH_REFUSAL_CANCELED)
		return;
	if (out->refusal != LPATCH_REFUSAL_NONE)
		lpatch_boot_failed(boot, out->message);
	else
		lpatch_boot_applied(boot);
	trace_boot(op->request->pid, op->patch->name, out);
	lpatch_event(op);
}

/* Is it time to apply the patch: are all images there? Otherwise @op is refused, and that is told. */
static bool lp_start_is_due(struct lp_op *op)
{
	int ret = lpatch_op_lock_memory(op, &op->outcome);

	if (!ret) {
		ret = lpatch_load_find_images(op);
		mmap_read_unlock(op->target->mm);
	}
	/* An image that is there twice is a reason to fail. */
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

/* Which images of the entry this system call has made executable for the first time, a bit for each. */
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

/* Returns the entries for what was mapped, in their order, to be freed with each of them. */
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
		/* There is nobody here to tell that a process starts unpatched for want of some bytes. */
		boots = kvmalloc_array(max, sizeof(*boots), GFP_KERNEL_ACCOUNT | __GFP_NOFAIL);
	}
}

/* Applies to the process of current the patches for which it is time, in the order of their entries. */
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

	/* Before the look: what is mapped from here on is looked at again. */
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
 * What current does on its way to user mode, which is begun if need be. It runs in this thread, so not
 * before the caller is done with it. Returns NULL if the thread is exiting.
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
 * Has current look at the entries for an image before it is in user mode again. Nothing is done for a thread
 * that is exiting. The same call may map an image several times: what counts is what was before the call.
 * Called with a reference on the module, and with an mmap_lock held.
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
 * lpatch_start_mapped() - current maps a file, or divides or joins mappings of it
 * @vma: as it is by now
 *
 * A kernel thread that does so has no start of its own. A process that divides or joins what it mapped long
 * ago does not start.
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
