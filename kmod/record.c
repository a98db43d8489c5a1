// SPDX-License-Identifier: GPL-2.0
/* The records of a target, one for each patch that is mapped in it. */

#include <linux/list.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/overflow.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/timekeeping.h>

#include "patch.h"
#include "target.h"

/* lp_target.lock held. */
struct lp_record *lpatch_record_find(struct lp_target *target, const struct lp_patch *patch)
{
	struct lp_record *record;

	list_for_each_entry(record, &target->records, node)
		if (!memcmp(record->patch->hash, patch->hash, LPATCH_HASH_LEN))
			return record;
	return NULL;
}

static struct lp_record *lp_record_new(struct lp_patch *patch, gfp_t gfp)
{
	struct lp_record *record = kvzalloc(struct_size(record, under, patch->nr_sites), gfp);

	if (record)
		record->patch = patch;
	return record;
}

/* The list is sorted by id. A child keeps the ids, and thus the order, of its parent. */
static void lp_record_insert(struct lp_target *target, struct lp_record *record)
{
	struct lp_record *next;

	lockdep_assert_held(&lpatch_targets_lock);
	__module_get(THIS_MODULE);
	lpatch_patch_get(record->patch);
	target->refs++;
	list_for_each_entry(next, &target->records, node)
		if (next->id > record->id)
			break;
	list_add_tail(&record->node, &next->node);
}

/**
 * lpatch_record_add() - add the record of a patch
 * @target: opened, its lock held
 * @patch: the patch
 * @base: where it is mapped
 * @bases: load bias of its images
 *
 * Return: the record in state LPATCH_STATE_LOADED, or NULL if out of memory.
 */
struct lp_record *lpatch_record_add(struct lp_target *target, struct lp_patch *patch,
				    unsigned long base, const unsigned long *bases)
{
	struct lp_record *record = lp_record_new(patch, GFP_KERNEL_ACCOUNT);

	if (!record)
		return NULL;
	record->base = base;
	record->state = LPATCH_STATE_LOADED;
	record->since = ktime_get_real_ns();
	record->incomplete = true;
	memcpy(record->bases, bases, patch->nr_images * sizeof(*bases));
	mutex_lock(&lpatch_targets_lock);
	record->id = lpatch_next_id();
	lp_record_insert(target, record);
	mutex_unlock(&lpatch_targets_lock);
	return record;
}

/* Return: the first record of a target with an id above @id, or NULL. */
static struct lp_record *lp_record_after(struct lp_target *target, u64 id)
{
	struct lp_record *record;

	lockdep_assert_held(&lpatch_targets_lock);
	list_for_each_entry(record, &target->records, node)
		if (record->id > id)
			return record;
	return NULL;
}

static void lp_record_copy(struct lp_record *record, const struct lp_record *from)
{
	record->state = from->state;
	record->base = from->base;
	record->since = from->since;
	record->id = from->id;
	memcpy(record->bases, from->bases, sizeof(record->bases));
	record->order = from->order;
	record->max_stop = from->max_stop;
	/*
	 * Its only thread is a copy of the thread that forked, which may be in code that went out
	 * of use.
	 */
	record->active.threads = READ_ONCE(from->patch->let_pass);
	memcpy(record->under, from->under, from->patch->nr_sites * sizeof(*record->under));
	/*
	 * No thread has executed a patch that was only loaded. It is completed again, whatever was
	 * copied.
	 */
	record->incomplete = from->incomplete || from->state == LPATCH_STATE_LOADED;
}

/**
 * lpatch_records_inherit() - copy the records of a target at fork
 * @target: the new target, not visible to other tasks yet
 * @from: the original, its mmap_lock held for writing
 *
 * Cannot fail: the memory is charged to the forking process, which waits for it if necessary.
 */
void lpatch_records_inherit(struct lp_target *target, struct lp_target *from)
{
	struct lp_patch *patch = NULL, *held;
	struct lp_record *record = NULL, *next;
	u64 last = 0;

	do {
		held = patch; /* the patch of @record */
		mutex_lock(&lpatch_targets_lock);
		next = lp_record_after(from, last);
		/* The patch that it was allocated for may have been unloaded meanwhile. */
		if (record && next && next->patch == record->patch) {
			lp_record_copy(record, next);
			lp_record_insert(target, record);
			record = NULL;
			last = next->id;
			next = lp_record_after(from, last);
		}
		patch = next ? next->patch : NULL;
		if (patch)
			lpatch_patch_get(patch);
		mutex_unlock(&lpatch_targets_lock);
		kvfree(record);
		if (held)
			lpatch_patch_put(held);
		record = patch ? lp_record_new(patch, GFP_KERNEL_ACCOUNT | __GFP_NOFAIL) : NULL;
	} while (patch);
}

/* Deletes a record. lp_target.lock held, and a reference on the target besides the record's. */
void lpatch_record_del(struct lp_target *target, struct lp_record *record)
{
	mutex_lock(&lpatch_targets_lock);
	list_del(&record->node);
	lpatch_target_drop(target);
	mutex_unlock(&lpatch_targets_lock);
	lpatch_patch_put(record->patch);
	kvfree(record);
	module_put(THIS_MODULE);
}
