// SPDX-License-Identifier: GPL-2.0
/*
 * Targets and what was done to them. When records begin and end without an operation is in
 * lineage.c.
 */

#include <linux/fs.h>
#include <linux/hashtable.h>
#include <linux/math64.h>
#include <linux/module.h>
#include <linux/overflow.h>
#include <linux/param.h>
#include <linux/pid.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/sched/task.h>
#include <linux/slab.h>

#include "lineage.h"
#include "patch.h"
#include "target.h"

/*
 * Covers the list and the hash of targets, lp_target.refs, and together with lp_target.lock the
 * records of each: either is enough to read them, both are needed to change them. Taken inside
 * nothing but lp_target.lock and mmap_lock, which are never waited for under it.
 */
static DEFINE_MUTEX(lp_targets_lock);
static LIST_HEAD(lp_targets);
static DEFINE_HASHTABLE(lp_targets_by_mm, 8);
static unsigned int lp_nr_targets;
static u64 lp_last_id;

static void lp_target_drop(struct lp_target *target)
{
	lockdep_assert_held(&lp_targets_lock);
	if (--target->refs)
		return;
	list_del(&target->node);
	hash_del(&target->by_mm);
	lp_nr_targets--;
	mmdrop(target->mm);
	put_pid(target->tgid);
	kfree(target);
}

/* Ends a reference. */
void lp_target_put(struct lp_target *target)
{
	mutex_lock(&lp_targets_lock);
	lp_target_drop(target);
	mutex_unlock(&lp_targets_lock);
}

/**
 * lp_target_next() - walk the targets
 * @previous: the one before, whose reference ends here, or NULL to begin
 *
 * In the order of their ids. No lock is held between two calls.
 *
 * Return: the next one with a reference, or NULL.
 */
struct lp_target *lp_target_next(struct lp_target *previous)
{
	struct lp_target *target;

	mutex_lock(&lp_targets_lock);
	target = previous ? list_next_entry(previous, node) :
			    list_first_entry(&lp_targets, struct lp_target, node);
	if (list_entry_is_head(target, &lp_targets, node))
		target = NULL;
	if (target)
		target->refs++;
	if (previous)
		lp_target_drop(previous);
	mutex_unlock(&lp_targets_lock);
	return target;
}

unsigned int lp_target_count(void)
{
	return READ_ONCE(lp_nr_targets);
}

static struct lp_target *lp_target_find(const struct mm_struct *mm)
{
	struct lp_target *target;

	hash_for_each_possible(lp_targets_by_mm, target, by_mm, (unsigned long)mm)
		if (target->mm == mm)
			return target;
	return NULL;
}

static struct lp_target *lp_target_new(struct mm_struct *mm, struct task_struct *task)
{
	struct lp_target *target = kzalloc(sizeof(*target), GFP_KERNEL_ACCOUNT);

	if (!target)
		return NULL;
	mmgrab(mm);
	target->mm = mm;
	rcu_read_lock();
	target->tgid = get_pid(task_tgid(task));
	rcu_read_unlock();
	sema_init(&target->lock, 1);
	INIT_LIST_HEAD(&target->records);
	target->id = ++lp_last_id;
	list_add_tail(&target->node, &lp_targets);
	hash_add(lp_targets_by_mm, &target->by_mm, (unsigned long)mm);
	lp_nr_targets++;
	return target;
}

/**
 * lp_target_get() - the target of an mm
 * @mm: with a reference on its users
 * @task: a thread that runs on it
 *
 * Return: it, with a reference, or NULL without memory.
 */
struct lp_target *lp_target_get(struct mm_struct *mm, struct task_struct *task)
{
	struct lp_target *target;

	mutex_lock(&lp_targets_lock);
	target = lp_target_find(mm) ?: lp_target_new(mm, task);
	if (target) {
		target->refs++;
		get_task_comm(target->comm, task->group_leader); /* it may have changed */
	}
	mutex_unlock(&lp_targets_lock);
	return target;
}

/*
 * The live thread of a thread group that still has the memory: the leader may have exited before
 * the others.
 */
static struct mm_struct *lp_group_mm(struct task_struct *task)
{
	struct mm_struct *mm = get_task_mm(task);
	struct task_struct *t;

	if (mm)
		return mm;
	rcu_read_lock();
	for_each_thread(task, t) {
		mm = get_task_mm(t);
		if (mm)
			break;
	}
	rcu_read_unlock();
	return mm;
}

/* As field 22 of /proc/PID/stat has it (fs/proc/array.c), in the initial time namespace. */
static u64 lp_start_time(const struct task_struct *task)
{
	return div_u64(task->group_leader->start_boottime, NSEC_PER_SEC / USER_HZ);
}

static u32 lp_target_open_task(struct task_struct *task, u64 start_time, struct lp_target **out)
{
	struct lp_target *target;
	struct mm_struct *mm;

	if (READ_ONCE(task->flags) & PF_KTHREAD)
		return LPATCH_REFUSAL_TARGET_KERNEL;
	if (start_time && start_time != lp_start_time(task))
		return LPATCH_REFUSAL_TARGET_CHANGED;
	mm = lp_group_mm(task);
	if (!mm)
		return LPATCH_REFUSAL_TARGET_GONE;
	target = lp_target_get(mm, task);
	if (!target) {
		mmput(mm);
		return LPATCH_REFUSAL_NO_MEMORY;
	}
	*out = target;
	return LPATCH_REFUSAL_NONE;
}

/**
 * lp_target_open() - find the target that a pid belongs to
 * @nr: of any of its threads, in the caller's pid namespace
 * @start_time: of the process in clock ticks, or 0 for any
 * @target: gets the target, with a reference and one on the users of its mm; lp_target_close()
 * drops both
 *
 * Return: LPATCH_REFUSAL_NONE, or why not.
 */
u32 lp_target_open(u32 nr, u64 start_time, struct lp_target **target)
{
	struct task_struct *task;
	struct pid *pid;
	u32 refusal;

	lp_lineage_purge();
	/* What it inherited is known before its lock is taken. */
	if (lp_lineage_find() == -ENOMEM)
		return LPATCH_REFUSAL_NO_MEMORY;
	pid = find_get_pid(nr);
	task = get_pid_task(pid, PIDTYPE_PID);
	put_pid(pid);
	if (!task)
		return LPATCH_REFUSAL_TARGET_GONE;
	refusal = lp_target_open_task(task, start_time, target);
	put_task_struct(task);
	return refusal;
}

void lp_target_close(struct lp_target *target)
{
	mmput(target->mm);
	lp_target_put(target);
	/* If this was the last user, the process ended meanwhile. */
	lp_lineage_purge();
}

/* lp_target.lock held. */
struct lp_record *lp_record_find(struct lp_target *target, const struct lp_patch *patch)
{
	struct lp_record *record;

	list_for_each_entry(record, &target->records, node)
		if (!record->ended && !memcmp(record->patch->hash, patch->hash, LPATCH_HASH_LEN))
			return record;
	return NULL;
}

/* Between this and lp_records_unlock() the records of a target whose lock is held may be changed. */
void lp_records_lock(void)
{
	mutex_lock(&lp_targets_lock);
}

void lp_records_unlock(void)
{
	mutex_unlock(&lp_targets_lock);
}

/* Larger than that of every apply before. Between lp_records_lock() and lp_records_unlock(). */
u64 lp_record_next_order(void)
{
	lockdep_assert_held(&lp_targets_lock);
	return ++lp_last_id;
}

static struct lp_record *lp_record_new(struct lp_patch *patch, unsigned long base)
{
	struct lp_record *record;

	record = kvzalloc(struct_size(record, under, patch->nr_sites), GFP_KERNEL_ACCOUNT);
	if (!record)
		return NULL;
	record->patch = patch;
	record->base = base;
	return record;
}

/* The list keeps the order of the ids, in a child that of the parent. */
static void lp_record_insert(struct lp_target *target, struct lp_record *record)
{
	struct lp_record *next;

	lockdep_assert_held(&lp_targets_lock);
	__module_get(THIS_MODULE);
	lp_patch_get(record->patch);
	target->refs++;
	list_for_each_entry(next, &target->records, node)
		if (next->id > record->id)
			break;
	list_add_tail(&record->node, &next->node);
}

/**
 * lp_record_add() - note that a patch is mapped
 * @target: opened, its lock held
 * @patch: which
 * @base: where
 * @bases: where its images are
 *
 * Return: the record in state LPATCH_STATE_LOADED, or NULL without memory.
 */
struct lp_record *lp_record_add(struct lp_target *target, struct lp_patch *patch,
				unsigned long base, const unsigned long *bases)
{
	struct lp_record *record = lp_record_new(patch, base);

	if (!record)
		return NULL;
	record->state = LPATCH_STATE_LOADED;
	memcpy(record->bases, bases, patch->nr_images * sizeof(*bases));
	lp_records_lock();
	record->id = ++lp_last_id;
	lp_record_insert(target, record);
	lp_records_unlock();
	return record;
}

/* A record of a patch at a base, in any target; one that has ended only if there is no other. */
static const struct lp_record *lp_record_like(const struct lp_patch *patch, unsigned long base)
{
	const struct lp_record *like = NULL;
	struct lp_target *target;
	struct lp_record *record;

	lockdep_assert_held(&lp_targets_lock);
	list_for_each_entry(target, &lp_targets, node) {
		list_for_each_entry(record, &target->records, node) {
			if (record->patch != patch || record->base != base)
				continue;
			if (!record->ended)
				return record;
			like = like ?: record;
		}
	}
	return like;
}

/* Is there a record of that patch at that base, in any target? */
bool lp_record_vouches(const struct lp_patch *patch, unsigned long base)
{
	bool found;

	lp_records_lock();
	found = lp_record_like(patch, base);
	lp_records_unlock();
	return found;
}

/**
 * lp_record_inherit() - note that a patch came by fork
 * @target: the child, its lock held
 * @patch: which
 * @base: where it is
 *
 * The record is that of another target which has the same patch there, but what its state is nobody
 * has looked yet. If no record vouches for the mapping it is not a patch.
 *
 * Return: 0 or -ENOMEM.
 */
int lp_record_inherit(struct lp_target *target, struct lp_patch *patch, unsigned long base)
{
	struct lp_record *record = lp_record_new(patch, base);
	const struct lp_record *like;

	if (!record)
		return -ENOMEM;
	lp_records_lock();
	like = lp_record_like(patch, base);
	if (like) {
		record->state = like->state;
		record->since = like->since;
		record->id = like->id;
		memcpy(record->bases, like->bases, sizeof(record->bases));
		record->order = like->order;
		record->max_stop = like->max_stop;
		/* Of which process this is a copy, and when it was made, nobody knows. */
		record->active.threads = READ_ONCE(patch->let_pass);
		memcpy(record->under, like->under, patch->nr_sites * sizeof(*record->under));
		record->unsettled = true;
		record->inherited = true;
		lp_record_insert(target, record);
	}
	lp_records_unlock();
	if (!like)
		kvfree(record);
	return 0;
}

/* lp_target.lock held, and a reference on the target besides the record's. */
void lp_record_del(struct lp_target *target, struct lp_record *record)
{
	mutex_lock(&lp_targets_lock);
	list_del(&record->node);
	lp_target_drop(target);
	mutex_unlock(&lp_targets_lock);
	lp_patch_put(record->patch);
	kvfree(record);
	module_put(THIS_MODULE);
}

/* Does the record tell of what is mapped at @base from the file of @patch? */
static bool lp_record_is(const struct lp_record *record, const struct lp_patch *patch,
			 unsigned long base)
{
	return record->base == base && d_real_inode(record->patch->file->f_path.dentry) ==
					       d_real_inode(patch->file->f_path.dentry);
}

/* Has the target of @mm a record of the patch file that is mapped at @base? */
bool lp_target_has(const struct mm_struct *mm, const struct lp_patch *patch, unsigned long base)
{
	struct lp_target *target;
	struct lp_record *record;
	bool found = false;

	mutex_lock(&lp_targets_lock);
	target = lp_target_find(mm);
	if (target)
		list_for_each_entry(record, &target->records, node)
			found |= lp_record_is(record, patch, base);
	mutex_unlock(&lp_targets_lock);
	return found;
}

/**
 * lp_record_patch() - walk the patches of which there are records
 * @search: a number that no earlier walk had; one walk at a time
 *
 * Return: one that this walk has not returned yet, with a reference, or NULL.
 */
struct lp_patch *lp_record_patch(u64 search)
{
	struct lp_patch *found = NULL;
	struct lp_target *target;
	struct lp_record *record;

	mutex_lock(&lp_targets_lock);
	list_for_each_entry(target, &lp_targets, node) {
		list_for_each_entry(record, &target->records, node) {
			if (record->patch->searched == search)
				continue;
			found = record->patch;
			found->searched = search;
			lp_patch_get(found);
			goto out; /* many processes have the same many patches */
		}
	}
out:
	mutex_unlock(&lp_targets_lock);
	return found;
}

/* Calls @fn for each record of a target; see lp_records_each(). */
int lp_target_each(struct lp_target *target,
		   int (*fn)(struct lp_target *target, struct lp_record *record, void *arg),
		   void *arg)
{
	struct lp_record *record;
	int ret = 0;

	if (down_killable(&target->lock))
		return -EINTR;
	list_for_each_entry(record, &target->records, node) {
		if (record->ended)
			continue;
		ret = fn(target, record, arg);
		if (ret)
			break;
	}
	up(&target->lock);
	return ret;
}

/**
 * lp_records_each() - call a function for each record of each living target
 * @fn: called with the target's lock held; nonzero ends the walk
 * @arg: for @fn
 *
 * Targets come in the order of their ids, the records of one in the order of theirs. A target with
 * an operation under way is waited for.
 *
 * Return: what @fn returned last, or -EINTR if the caller is being killed.
 */
int lp_records_each(int (*fn)(struct lp_target *target, struct lp_record *record, void *arg),
		    void *arg)
{
	struct lp_target *target;
	int ret;

	for (target = lp_target_next(NULL); target; target = lp_target_next(target)) {
		ret = lp_target_each(target, fn, arg);
		if (ret) {
			lp_target_put(target);
			return ret;
		}
	}
	return 0;
}
