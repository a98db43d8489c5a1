// SPDX-License-Identifier: GPL-2.0
/*
 * Records follow the mm: a fork copies them, and they are deleted with the mm.
 *
 * The copy is made when the mm is copied, with the mmap_lock held for writing. So no stop window is
 * open, and the records describe exactly the memory that is copied. Only a load or an unload may be
 * in progress, which map and unmap the segments of a patch one by one: see
 * lpatch_live_is_partial().
 */

#include <linux/mm_types.h>
#include <linux/module.h>
#include <linux/sched.h>
#include <linux/slab.h>

#include "lineage.h"
#include "target.h"

/**
 * lpatch_lineage_copied() - copy the records of an mm at fork
 * @old: its mmap_lock is held for writing
 * @new: the copy, not visible to other tasks yet. If the fork fails, it is torn down like any mm
 *
 * Context: process; may sleep.
 */
void lpatch_lineage_copied(struct mm_struct *old, struct mm_struct *new)
{
	struct lp_target *from, *target;

	if (!lpatch_target_is(old) || !try_module_get(THIS_MODULE))
		return;
	from = lpatch_target_hold(old);
	if (from) {
		/* The target stays if it gets a record. */
		target = lpatch_target_add(new, GFP_KERNEL_ACCOUNT | __GFP_NOFAIL);
		lpatch_records_inherit(target, from);
		lpatch_target_put(target);
		lpatch_target_put(from);
	}
	module_put(THIS_MODULE);
}

/*
 * Names the target of a new task. The task is on the task list and has not run yet. Context: any.
 */
void lpatch_lineage_born(struct task_struct *task)
{
	if (task->mm && lpatch_target_count())
		lpatch_target_name_new(task->mm, task);
}

/**
 * lpatch_lineage_ended() - delete the records of an mm that is torn down
 * @mm: without users, so there is no operation on it and will be none
 *
 * Context: process; waits for a status request that is looking at the target.
 */
void lpatch_lineage_ended(struct mm_struct *mm)
{
	struct lp_record *record, *next;
	struct lp_target *target;

	if (!lpatch_target_is(mm) || !try_module_get(THIS_MODULE))
		return;
	target = lpatch_target_hold(mm);
	if (target) {
		down(&target->lock);
		list_for_each_entry_safe(record, next, &target->records, node)
			lpatch_record_del(target, record);
		up(&target->lock);
		lpatch_target_put(target);
	}
	module_put(THIS_MODULE);
}
