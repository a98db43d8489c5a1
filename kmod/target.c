// SPDX-License-Identifier: GPL-2.0
/*
 * Targets and what was done to them. A record ends with the mm: at exit and at exec. The mm is held
 * with mmgrab(), so its address is not reused while there is a record, and mm_users == 0 says that
 * it has ended. Dead targets are purged at every operation, and soon after a process exits or
 * executes another program.
 */

#include <linux/jiffies.h>
#include <linux/math64.h>
#include <linux/module.h>
#include <linux/param.h>
#include <linux/pid.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/sched/task.h>
#include <linux/slab.h>
#include <linux/tracepoint.h>
#include <linux/workqueue.h>

#include "patch.h"
#include "target.h"

/* An exit is seen before the mm ends; this much later it usually has. */
#define LP_PURGE_DELAY (HZ / 50 + 1)

/*
 * Covers the list and lp_target.refs. Taken inside nothing; lp_target.lock is never waited for
 * under it.
 */
static DEFINE_MUTEX(lp_targets_lock);
static LIST_HEAD(lp_targets);
static unsigned int lp_nr_targets;

static void lp_target_put(struct lp_target *target)
{
	lockdep_assert_held(&lp_targets_lock);
	if (--target->refs)
		return;
	list_del(&target->node);
	lp_nr_targets--;
	mmdrop(target->mm);
	put_pid(target->tgid);
	kfree(target);
}

unsigned int lp_target_count(void)
{
	return READ_ONCE(lp_nr_targets);
}

static struct lp_target *lp_target_find(const struct mm_struct *mm)
{
	struct lp_target *target;

	list_for_each_entry(target, &lp_targets, node)
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
	mutex_init(&target->lock);
	INIT_LIST_HEAD(&target->records);
	list_add_tail(&target->node, &lp_targets);
	lp_nr_targets++;
	return target;
}

/* lp_targets_lock and lp_target.lock held. The caller has a reference of its own on the target. */
static void lp_record_free(struct lp_target *target, struct lp_record *record)
{
	list_del(&record->node);
	lp_patch_put(record->patch);
	kfree(record);
	lp_target_put(target);
	module_put(THIS_MODULE);
}

/*
 * Ends the records of targets whose mm has ended. Returns whether there are others whose process is
 * just ending.
 */
static bool lp_targets_purge(void)
{
	struct lp_target *target, *next;
	bool again = false;

	mutex_lock(&lp_targets_lock);
	list_for_each_entry_safe(target, next, &lp_targets, node) {
		struct lp_record *record, *next_record;

		if (atomic_read(&target->mm->mm_users)) {
			again |= !pid_has_task(target->tgid, PIDTYPE_TGID);
			continue;
		}
		/* An operation under way finds out by itself, and the next purge comes. */
		if (!mutex_trylock(&target->lock))
			continue;
		target->refs++;
		list_for_each_entry_safe(record, next_record, &target->records, node)
			lp_record_free(target, record);
		mutex_unlock(&target->lock);
		lp_target_put(target);
	}
	mutex_unlock(&lp_targets_lock);
	return again;
}

static void lp_purge_fn(struct work_struct *work)
{
	if (lp_targets_purge())
		schedule_delayed_work(to_delayed_work(work), HZ);
}

static DECLARE_DELAYED_WORK(lp_purge_work, lp_purge_fn);

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

	if (task->flags & PF_KTHREAD)
		return LPATCH_REFUSAL_TARGET_KERNEL;
	if (start_time && start_time != lp_start_time(task))
		return LPATCH_REFUSAL_TARGET_CHANGED;
	mm = lp_group_mm(task);
	if (!mm)
		return LPATCH_REFUSAL_TARGET_GONE;
	mutex_lock(&lp_targets_lock);
	target = lp_target_find(mm) ?: lp_target_new(mm, task);
	if (target) {
		target->refs++;
		get_task_comm(target->comm, task->group_leader); /* it may have changed */
	}
	mutex_unlock(&lp_targets_lock);
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

	lp_targets_purge();
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
	mutex_lock(&lp_targets_lock);
	lp_target_put(target);
	mutex_unlock(&lp_targets_lock);
	/* If this was the last user, the process ended meanwhile. */
	lp_targets_purge();
}

/* lp_target.lock held. */
struct lp_record *lp_record_find(struct lp_target *target, const struct lp_patch *patch)
{
	struct lp_record *record;

	list_for_each_entry(record, &target->records, node)
		if (!memcmp(record->patch->hash, patch->hash, LPATCH_HASH_LEN))
			return record;
	return NULL;
}

/**
 * lp_record_add() - note that a patch is mapped
 * @target: opened, its lock held
 * @patch: which
 * @base: where
 *
 * Return: the record in state LPATCH_STATE_LOADED, or NULL without memory.
 */
struct lp_record *lp_record_add(struct lp_target *target, struct lp_patch *patch,
				unsigned long base)
{
	struct lp_record *record = kzalloc(sizeof(*record), GFP_KERNEL_ACCOUNT);

	if (!record)
		return NULL;
	__module_get(THIS_MODULE);
	lp_patch_get(patch);
	record->patch = patch;
	record->state = LPATCH_STATE_LOADED;
	record->base = base;
	mutex_lock(&lp_targets_lock);
	target->refs++;
	mutex_unlock(&lp_targets_lock);
	list_add_tail(&record->node, &target->records);
	return record;
}

/* lp_target.lock held, and a reference on the target besides the record's. */
void lp_record_del(struct lp_target *target, struct lp_record *record)
{
	mutex_lock(&lp_targets_lock);
	lp_record_free(target, record);
	mutex_unlock(&lp_targets_lock);
}

static int lp_target_each(struct lp_target *target,
			  int (*fn)(struct lp_target *target, struct lp_record *record, void *arg),
			  void *arg)
{
	struct lp_record *record;
	int ret = 0;

	if (mutex_lock_killable(&target->lock))
		return -EINTR;
	list_for_each_entry(record, &target->records, node) {
		ret = fn(target, record, arg);
		if (ret)
			break;
	}
	mutex_unlock(&target->lock);
	return ret;
}

/**
 * lp_records_each() - call a function for each record of each living target
 * @fn: called with the target's lock held; nonzero ends the walk
 * @arg: for @fn
 *
 * A target with an operation under way is waited for.
 *
 * Return: what @fn returned last, or -EINTR if the caller is being killed.
 */
int lp_records_each(int (*fn)(struct lp_target *target, struct lp_record *record, void *arg),
		    void *arg)
{
	struct lp_target *target, *previous = NULL;
	int ret = 0;

	lp_targets_purge();
	mutex_lock(&lp_targets_lock);
	list_for_each_entry(target, &lp_targets, node) {
		target->refs++;
		if (previous)
			lp_target_put(previous);
		previous = target;
		mutex_unlock(&lp_targets_lock);
		ret = lp_target_each(target, fn, arg);
		mutex_lock(&lp_targets_lock);
		if (ret)
			break;
	}
	if (previous)
		lp_target_put(previous);
	mutex_unlock(&lp_targets_lock);
	return ret;
}

static struct tracepoint *lp_process_exit;
static struct tracepoint *lp_process_exec;

/* Both end an mm soon. Called with preemption disabled. */
static void lp_process_ends(void)
{
	if (READ_ONCE(lp_nr_targets))
		schedule_delayed_work(&lp_purge_work, LP_PURGE_DELAY);
}

static void lp_exit_probe(void *unused, struct task_struct *task)
{
	lp_process_ends();
}

static void lp_exec_probe(void *unused, struct task_struct *task, pid_t old_pid,
			  struct linux_binprm *bprm)
{
	lp_process_ends();
}

static void lp_find_tracepoints(struct tracepoint *tp, void *unused)
{
	if (!strcmp(tp->name, "sched_process_exit"))
		lp_process_exit = tp;
	else if (!strcmp(tp->name, "sched_process_exec"))
		lp_process_exec = tp;
}

int __init lp_target_init(void)
{
	int ret;

	for_each_kernel_tracepoint(lp_find_tracepoints, NULL);
	if (!lp_process_exit || !lp_process_exec) {
		pr_err("lpatch: this kernel has no tracepoint sched_process_exit or sched_process_exec; it needs CONFIG_TRACEPOINTS=y\n");
		return -ENOENT;
	}
	ret = tracepoint_probe_register(lp_process_exit, lp_exit_probe, NULL);
	if (ret)
		return ret;
	ret = tracepoint_probe_register(lp_process_exec, lp_exec_probe, NULL);
	if (ret)
		tracepoint_probe_unregister(lp_process_exit, lp_exit_probe, NULL);
	return ret;
}

void lp_target_exit(void)
{
	tracepoint_probe_unregister(lp_process_exec, lp_exec_probe, NULL);
	tracepoint_probe_unregister(lp_process_exit, lp_exit_probe, NULL);
	tracepoint_synchronize_unregister();
	cancel_delayed_work_sync(&lp_purge_work);
}
