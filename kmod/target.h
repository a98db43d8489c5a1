/* SPDX-License-Identifier: GPL-2.0 */
#ifndef LPATCH_TARGET_H
#define LPATCH_TARGET_H

#include <linux/gfp.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/semaphore.h>

#include "outcome.h"
#include "uapi/lpatch.h"

struct lp_patch;

/**
 * struct lp_record - one patch in one target
 * @node: in lp_target.records; lp_target.lock
 * @patch: referenced
 * @state: LPATCH_STATE_LOADED, _APPLIED or _RESTORED
 * @base: where vaddr 0 of the patch is mapped
 * @since: CLOCK_REALTIME ns of the last change of state
 * @id: of the load that it goes back to, the same in a child; grows along the list of records
 * @bases: where the images were when it was loaded: what its code refers to, and what was patched
 * @incomplete: not all is mapped, or not all fix-ups are made: it is being loaded or unloaded, or that could
 *		not be ended, or it is a copy of one of that time. See lpatch_load_complete()
 * @change: lp_op.change of the operation that changed it last
 * @goes: lp_op.change of the operation that restores it beside its own patch, or was to; lp_target.lock
 * @order: of its last apply among all applies; grows along the patches that lie upon one another
 * @times: of the operation that made it
 * @threads: that were stopped in it
 * @attempts: stop windows that were opened in it
 * @max_stop: ns, its limit of one window
 * @active: threads that were let finish in code from before that operation, as counted last. Of a
 *	    child it is not known before it is counted: its thread may be a copy of one
 * @under: for each site of the patch, what was there before it was applied last
 *
 * Holds the module: what it describes cannot be undone without it.
 */
struct lp_record {
	struct list_head node;
	struct lp_patch *patch;
	u32 state;
	unsigned long base;
	u64 since;
	u64 id;
	unsigned long bases[LPATCH_IMAGES_MAX];
	bool incomplete;
	u64 change;
	u64 goes;
	u64 order;
	struct lp_times times;
	u32 threads;
	u32 attempts;
	u64 max_stop;
	struct lp_active active;
	u8 under[][LPATCH_SITE_MAX];
};

static inline bool lp_record_is_applied(const struct lp_record *record)
{
	return record && record->state == LPATCH_STATE_APPLIED;
}

/**
 * struct lp_target - a process: an mm, and what was done to it
 * @node: in the list of targets; lpatch_targets_lock
 * @by_mm: in the hash of targets by mm; lpatch_targets_lock, and read under RCU
 * @rcu: to be freed by
 * @id: grows along the list
 * @refs: one for each operation under way and each record; lpatch_targets_lock
 * @mm: its memory; the structure is held (mmgrab), so that its address is not reused, the memory is
 * not
 * @tgid: a thread group that runs on it; NULL as long as it has no process; then @lock
 * @comm: its name when it was last opened; lpatch_targets_lock
 * @lock: one operation at a time; covers the records. Who waits for it sleeps, and comes in turn: a
 *	  thread of the target that spun for it would be on a CPU for as long as the one that has it looks
 *	  at it
 * @records: of patches in it
 */
struct lp_target {
	struct list_head node;
	struct hlist_node by_mm;
	struct rcu_head rcu;
	u64 id;
	unsigned int refs;
	struct mm_struct *mm;
	struct pid *tgid;
	char comm[TASK_COMM_LEN];
	struct semaphore lock;
	struct list_head records;
};

/*
 * Covers the list of targets, changes of their hash, lp_target.refs, and together with lp_target.lock the
 * records of each: either is enough to read them, both are needed to change them. Taken inside
 * nothing but lp_target.lock and mmap_lock, which are never waited for under it, and no memory is
 * allocated.
 *
 * What a fork copies of a record (lp_record.state, .order and .under) changes in a stop window, with the
 * mmap_lock of the target held for read, which the fork holds for writing.
 */
extern struct mutex lpatch_targets_lock;

u64 lpatch_next_id(void);
unsigned int lpatch_target_count(void);
bool lpatch_target_is(const struct mm_struct *mm);
struct lp_target *lpatch_target_hold(const struct mm_struct *mm);
struct lp_target *lpatch_target_add(struct mm_struct *mm, gfp_t gfp);
void lpatch_target_name_new(const struct mm_struct *mm, struct task_struct *task);
void lpatch_records_inherit(struct lp_target *target, struct lp_target *from);
u32 lpatch_target_open(u32 nr, u64 start_time, struct lp_target **target);
void lpatch_target_close(struct lp_target *target);
struct lp_target *lpatch_target_get(struct mm_struct *mm, struct task_struct *task);
void lpatch_target_put(struct lp_target *target);
void lpatch_target_drop(struct lp_target *target);
struct lp_record *lpatch_record_find(struct lp_target *target, const struct lp_patch *patch);
struct lp_record *lpatch_record_add(struct lp_target *target, struct lp_patch *patch,
				    unsigned long base, const unsigned long *bases);
void lpatch_record_del(struct lp_target *target, struct lp_record *record);

typedef int (*lp_record_fn)(struct lp_target *target, struct lp_record *record, bool locked, void *arg);
int lpatch_records_each(u64 from, lp_record_fn fn, void *arg);

#endif
