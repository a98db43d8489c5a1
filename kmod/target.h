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
 * @id: of the load that created it, kept in a child; grows along the list of records
 * @bases: load bias of the images as of the load, to which the code refers and where sites were
 *	patched
 * @incomplete: not all segments are mapped or not all fix-ups are applied: a load or an unload is
 *	in progress or was interrupted, or this is a copy from such a time. See
 *	lpatch_load_complete()
 * @change: lp_op.change of the operation that changed it last
 * @goes: lp_op.change of the last operation that replaced it with another patch, or was to;
 *	lp_target.lock
 * @order: of its last apply among all applies; grows along a stack of patches
 * @times: of the operation that changed it last
 * @threads: threads that operation stopped
 * @attempts: stop windows that operation opened
 * @max_stop: ns, limit of one window of that operation
 * @active: threads that may finish in code from before that operation, as of the last count. In a
 *	child they are unknown until a recount: its thread may be a copy of one of them
 * @under: for each site of the patch, the bytes there before its last apply
 *
 * Holds a reference on the module: without the module the patch could not be restored.
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
 * struct lp_target - a process: an mm and its records
 * @node: in the list of targets; lpatch_targets_lock
 * @by_mm: in the hash of targets by mm; lpatch_targets_lock, or RCU to read it
 * @rcu: for kfree_rcu()
 * @id: grows along the list
 * @refs: one for each operation in progress and each record; lpatch_targets_lock
 * @mm: mmgrab() keeps the mm_struct, so that its address is not reused, but not the memory
 * @tgid: a thread group that runs on it; NULL until it has a process; then protected by @lock
 * @comm: name of the process when the target was last opened; lpatch_targets_lock
 * @lock: serializes operations; protects the records. A semaphore, whose waiters sleep in FIFO
 *	order: a thread of the target that spun for a mutex would stay on its CPU while the owner of
 *	the mutex waits for that thread to leave the CPU
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
 * Protects the list of targets, changes of their hash, lp_target.refs, and together with
 * lp_target.lock the records of each target: either lock is enough to read them, both are needed to
 * change them. Taken inside lp_target.lock and mmap_lock only. No code that holds it waits for one
 * of those, or allocates memory.
 *
 * The fields that a fork copies from a record (lp_record.state, .order and .under) change in a stop
 * window, with the mmap_lock of the target held for read. The fork holds it for writing.
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
