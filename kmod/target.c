// SPDX-License-Identifier: GPL-2.0
/* Targets and their records. lineage.c copies records at fork and deletes them with the mm. */

#include <linux/fs.h>
#include <linux/hashtable.h>
#include <linux/math64.h>
#include <linux/param.h>
#include <linux/pid.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/sched/task.h>
#include <linux/slab.h>
#include <linux/time_namespace.h>

#include "target.h"

DEFINE_MUTEX(lpatch_targets_lock); /* see target.h */
static LIST_HEAD(lp_targets);
static DEFINE_HASHTABLE(lp_targets_by_mm, 12);
static unsigned int lp_nr_targets;
static atomic64_t lp_last_id = ATOMIC64_INIT(0);

/* Return: an id for a target, a record, an apply or an operation, larger than any before. */
u64 lpatch_next_id(void)
{
	return atomic64_inc_return(&lp_last_id);
}

/* Drops a reference, with lpatch_targets_lock held. */
void lpatch_target_drop(struct lp_target *target)
{
	lockdep_assert_held(&lpatch_targets_lock);
	if (--target->refs)
		return;
	list_del(&target->node);
	hash_del_rcu(&target->by_mm);
	lp_nr_targets--;
	mmdrop(target->mm);
	put_pid(target->tgid);
	kfree_rcu(target, rcu);
}

/* Drops a reference. */
void lpatch_target_put(struct lp_target *target)
{
	mutex_lock(&lpatch_targets_lock);
	lpatch_target_drop(target);
	mutex_unlock(&lpatch_targets_lock);
}

/**
 * lp_target_next() - walk the targets in the order of their ids
 * @previous: the previous target, whose reference is dropped, or NULL to begin
 *
 * No lock is held between two calls.
 *
 * Return: the next target, referenced, or NULL.
 */
static struct lp_target *lp_target_next(struct lp_target *previous)
{
	struct lp_target *target;

	mutex_lock(&lpatch_targets_lock);
	target = previous ? list_next_entry(previous, node) :
			    list_first_entry(&lp_targets, struct lp_target, node);
	if (list_entry_is_head(target, &lp_targets, node))
		target = NULL;
	if (target)
		target->refs++;
	if (previous)
		lpatch_target_drop(previous);
	mutex_unlock(&lpatch_targets_lock);
	return target;
}

unsigned int lpatch_target_count(void)
{
	return READ_ONCE(lp_nr_targets);
}

/* Under lpatch_targets_lock or RCU. */
static struct lp_target *lp_target_find(const struct mm_struct *mm)
{
	struct lp_target *target;

	hash_for_each_possible_rcu(lp_targets_by_mm, target, by_mm, (unsigned long)mm,
				   lockdep_is_held(&lpatch_targets_lock))
		if (target->mm == mm)
			return target;
	return NULL;
}

/* Is there a target of this mm? The answer may be outdated unless the caller excludes changes. */
bool lpatch_target_is(const struct mm_struct *mm)
{
	bool found;

	if (likely(!lpatch_target_count()))
		return false;
	rcu_read_lock();
	found = lp_target_find(mm);
	rcu_read_unlock();
	return found;
}

/* Return: the target of an mm, referenced, or NULL. */
struct lp_target *lpatch_target_hold(const struct mm_struct *mm)
{
	struct lp_target *target;

	mutex_lock(&lpatch_targets_lock);
	target = lp_target_find(mm);
	if (target)
		target->refs++;
	mutex_unlock(&lpatch_targets_lock);
	return target;
}

/**
 * lpatch_target_add() - make an mm a target
 * @mm: the mm, which may have become a target meanwhile
 * @gfp: with __GFP_NOFAIL this cannot fail
 *
 * A new target has no name before lp_target_name() is called.
 *
 * Return: the target, referenced, or NULL if out of memory.
 */
struct lp_target *lpatch_target_add(struct mm_struct *mm, gfp_t gfp)
{
	struct lp_target *fresh = kzalloc(sizeof(*fresh), gfp), *target;

	if (!fresh)
		return NULL;
	mutex_lock(&lpatch_targets_lock);
	target = lp_target_find(mm);
	if (!target) {
		swap(target, fresh);
		mmgrab(mm);
		target->mm = mm;
		sema_init(&target->lock, 1);
		INIT_LIST_HEAD(&target->records);
		target->id = lpatch_next_id();
		list_add_tail(&target->node, &lp_targets);
		hash_add_rcu(lp_targets_by_mm, &target->by_mm, (unsigned long)mm);
		lp_nr_targets++;
	}
	target->refs++;
	mutex_unlock(&lpatch_targets_lock);
	kfree(fresh);
	return target;
}

/*
 * Sets the process of a target that has none yet. @task runs on its mm. Under RCU or with a
 * reference on @target.
 */
static void lp_target_name(struct lp_target *target, struct task_struct *task)
{
	struct pid *tgid;

	rcu_read_lock();
	tgid = get_pid(task_tgid(task));
	rcu_read_unlock();
	if (cmpxchg(&target->tgid, NULL, tgid))
		put_pid(tgid);
}

/*
 * Names the target of an mm, if there is one, after its first process, which has not run yet.
 * Context: any.
 */
void lpatch_target_name_new(const struct mm_struct *mm, struct task_struct *task)
{
	struct lp_target *target;

	rcu_read_lock();
	target = lp_target_find(mm);
	/*
	 * The name is read only if tgid is set; the cmpxchg() of tgid orders the write of the name
	 * before it.
	 */
	if (target && !READ_ONCE(target->tgid)) {
		memcpy(target->comm, task->comm, sizeof(target->comm));
		lp_target_name(target, task);
	}
	rcu_read_unlock();
}

/*
 * Return: the leader of the thread group of @task, or NULL if it is gone. Under RCU, with a
 * reference on @task.
 */
static struct task_struct *lp_leader(struct task_struct *task)
{
	return pid_task(task_tgid(task), PIDTYPE_TGID);
}

/**
 * lpatch_target_get() - get the target of an mm, creating it if necessary
 * @mm: with a reference on mm_users
 * @task: a thread that runs on it
 *
 * Return: the target, referenced, or NULL if out of memory.
 */
struct lp_target *lpatch_target_get(struct mm_struct *mm, struct task_struct *task)
{
	struct lp_target *target = lpatch_target_hold(mm) ?: lpatch_target_add(mm, GFP_KERNEL_ACCOUNT);
	struct task_struct *leader;

	if (!target)
		return NULL;
	lp_target_name(target, task);
	/* The name may have changed. If the leader is gone, keep the old one. */
	mutex_lock(&lpatch_targets_lock);
	rcu_read_lock();
	leader = lp_leader(task);
	if (leader)
		get_task_comm(target->comm, leader);
	rcu_read_unlock();
	mutex_unlock(&lpatch_targets_lock);
	return target;
}

/*
 * Return: the mm of a thread group, referenced, from any live thread, or NULL: the leader may have
 * exited before the other threads.
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

/*
 * Return: field 22 of /proc/PID/stat as the client sees it (fs/proc/array.c), in its time
 * namespace; 0 if the process is gone.
 */
static u64 lp_start_time(struct task_struct *task)
{
	const struct task_struct *leader;
	u64 start = 0;

	rcu_read_lock();
	leader = lp_leader(task);
	if (leader)
		start = timens_add_boottime_ns(leader->start_boottime);
	rcu_read_unlock();
	return div_u64(start, NSEC_PER_SEC / USER_HZ);
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
	target = lpatch_target_get(mm, task);
	if (!target) {
		mmput_async(mm);
		return LPATCH_REFUSAL_NO_MEMORY;
	}
	*out = target;
	return LPATCH_REFUSAL_NONE;
}

/**
 * lpatch_target_open() - find the target that a pid belongs to
 * @nr: tid of any of its threads, in the caller's pid namespace
 * @start_time: of the process in clock ticks, or 0 for any
 * @target: set to the target, with a reference on it and on mm_users; lpatch_target_close() drops
 *	both
 *
 * Return: LPATCH_REFUSAL_NONE, or the reason of a failure.
 */
u32 lpatch_target_open(u32 nr, u64 start_time, struct lp_target **target)
{
	struct task_struct *task;
	struct pid *pid;
	u32 refusal;

	pid = find_get_pid(nr);
	task = get_pid_task(pid, PIDTYPE_PID);
	put_pid(pid);
	if (!task)
		return LPATCH_REFUSAL_TARGET_GONE;
	refusal = lp_target_open_task(task, start_time, target);
	put_task_struct(task);
	return refusal;
}

void lpatch_target_close(struct lp_target *target)
{
	/*
	 * If this drops the last user, tearing down the mm may wait for anything that the process
	 * began (exit_aio()).
	 */
	mmput_async(target->mm);
	lpatch_target_put(target);
}

/* Does the process of a target still run on its mm? It may have exited or called execve(). */
static bool lp_target_is_named(const struct lp_target *target)
{
	struct task_struct *task, *t;
	bool found = false;

	rcu_read_lock();
	task = pid_task(target->tgid, PIDTYPE_TGID);
	if (task) {
		for_each_thread(task, t) {
			found = READ_ONCE(t->mm) == target->mm;
			if (found)
				break;
		}
	}
	rcu_read_unlock();
	return found;
}

/*
 * The process of a target is gone, but others may share its mm (CLONE_VM without CLONE_THREAD): the
 * target is assigned to one of those. lp_target.lock held. Return: whether there is one.
 */
static bool lp_target_rename(struct lp_target *target)
{
	struct pid *found = NULL, *old;
	struct task_struct *p, *t;

	rcu_read_lock();
	for_each_process_thread(p, t) {
		if (READ_ONCE(t->mm) != target->mm || (READ_ONCE(t->flags) & PF_KTHREAD))
			continue;
		found = get_pid(task_tgid(t));
		goto out; /* of two loops */
	}
out:
	rcu_read_unlock();
	if (!found)
		return false;
	mutex_lock(&lpatch_targets_lock);
	old = xchg(&target->tgid, found);
	mutex_unlock(&lpatch_targets_lock);
	put_pid(old);
	return true;
}

/* Like lpatch_records_each(), for the records of one target. */
static int lp_target_each(struct lp_target *target, lp_record_fn fn, void *arg)
{
	bool locked = !down_trylock(&target->lock);
	struct lp_record *record;
	int ret = 0;

	if (!locked)
		mutex_lock(&lpatch_targets_lock);
	/* Do not report an mm that no process uses any more. */
	if (locked ? lp_target_is_named(target) || lp_target_rename(target) : !!target->tgid)
		list_for_each_entry(record, &target->records, node) {
			ret = fn(target, record, locked, arg);
			if (ret)
				break;
		}
	if (locked)
		up(&target->lock);
	else
		mutex_unlock(&lpatch_targets_lock);
	return ret;
}

/**
 * lpatch_records_each() - call a function for each record of each live target
 * @from: the id of the first target
 * @fn: a nonzero return value stops the walk; it is told whether the target's lock is held. If not,
 *	an operation is in progress, and @fn must neither access the target's memory nor sleep
 * @arg: passed to @fn
 *
 * Walks the targets, and the records of each, in the order of their ids. Does not wait for
 * operations.
 *
 * Return: the last return value of @fn.
 */
int lpatch_records_each(u64 from, lp_record_fn fn, void *arg)
{
	struct lp_target *target;
	int ret;

	for (target = lp_target_next(NULL); target; target = lp_target_next(target)) {
		ret = target->id < from ? 0 : lp_target_each(target, fn, arg);
		if (ret) {
			lpatch_target_put(target);
			return ret;
		}
	}
	return 0;
}
