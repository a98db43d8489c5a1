// SPDX-License-Identifier: GPL-2.0
/*
 * Records follow the memory: a fork copies them, the end of an mm ends them.
 *
 * A child of a patched process has the patch in its copied memory, so its mapping of the patch file
 * is in the file's i_mmap tree, from within fork on until it ends. That tree is the list of all
 * carriers of a patch: complete at every moment, without a probe on fork, so a fork costs nothing
 * and cannot be missed for want of memory. build_map_info() in kernel/events/uprobes.c does the
 * same. A carrier without a record gets one when anybody asks (lp_lineage_find()): at each
 * operation, at each status, and before a record ends.
 *
 * What makes it complete: every carrier has a witness, that is a record of the same patch at the
 * same base, of itself or of another target. It is so when the patch is loaded, and a fork keeps
 * it. A record ends only after its own memory has no such mapping any more (unmapped, or the mm is
 * dead) and a look at the tree then found a record for, or gave one to, every other carrier.
 *
 * The mm is held with mmgrab(), so its address is not reused while there is a record, and
 * mm_users == 0 says that it has ended.
 */

#include <linux/fs.h>
#include <linux/jiffies.h>
#include <linux/ktime.h>
#include <linux/mm.h>
#include <linux/pid.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/sort.h>
#include <linux/tracepoint.h>
#include <linux/workqueue.h>

#include "lineage.h"
#include "patch.h"
#include "target.h"

/* An exit is seen before the mm ends; this much later it usually has. */
#define LP_PURGE_DELAY (HZ / 50 + 1)

/* Mappings that may come into being between counting them and listing them. */
#define LP_CARRIERS_SLACK 64

/**
 * struct lp_carrier - an mm that maps a patch file
 * @mm: with a reference on its users
 * @patch: referenced; NULL before it is known that a record is wanted
 * @base: where address 0 of the patch is in it
 * @task: of its first thread group, referenced; NULL if there is none (yet), or another carrier of
 *	  the same mm comes first
 */
struct lp_carrier {
	struct mm_struct *mm;
	struct lp_patch *patch;
	unsigned long base;
	struct task_struct *task;
};

struct lp_carriers {
	struct lp_carrier *list;
	unsigned long nr;
	unsigned long max;
};

/* One search at a time, so that lp_patch.searched means something. */
static DEFINE_MUTEX(lp_lineage_lock);
static u64 lp_search;

/* Where address 0 of the patch would be if @vma has the beginning of one of its segments. */
static bool lp_carrier_base(const struct lp_patch *patch, struct vm_area_struct *vma,
			    unsigned long *base)
{
	u32 i;

	if (vma->vm_flags & VM_SHARED)
		return false;
	for (i = 0; i < patch->nr_segments; i++) {
		const struct lp_segment *segment = &patch->segments[i];
		pgoff_t pgoff = segment->offset >> PAGE_SHIFT;

		if (pgoff < vma->vm_pgoff || pgoff - vma->vm_pgoff >= vma_pages(vma) ||
		    !(vma->vm_flags & VM_EXEC) != !(segment->prot & LPATCH_SEGMENT_PROT_EXEC))
			continue;
		*base = vma->vm_start + ((pgoff - vma->vm_pgoff) << PAGE_SHIFT) - segment->vaddr;
		return true;
	}
	return false;
}

/*
 * Appends those that map the file of @patch, as far as there is room. i_mmap_rwsem keeps the
 * mappings and their limits as they are; an mm whose users are gone is being taken apart. Nothing
 * is allocated under it, and no other lock taken: reclaim takes it too. Return: how many there are.
 */
static unsigned long lp_carriers_walk(const struct lp_patch *patch, struct lp_carriers *carriers)
{
	struct address_space *mapping = d_real_inode(patch->file->f_path.dentry)->i_mapping;
	unsigned long base, nr = 0;
	struct rb_node *node;

	i_mmap_lock_read(mapping);
	for (node = rb_first_cached(&mapping->i_mmap); node; node = rb_next(node)) {
		struct vm_area_struct *vma = rb_entry(node, struct vm_area_struct, shared.rb);

		if (!lp_carrier_base(patch, vma, &base))
			continue;
		nr++;
		if (carriers->nr < carriers->max && mmget_not_zero(vma->vm_mm))
			carriers->list[carriers->nr++] =
				(struct lp_carrier){ .mm = vma->vm_mm, .base = base };
	}
	i_mmap_unlock_read(mapping);
	return nr;
}

/* Drops all but the first @nr. */
static void lp_carriers_cut(struct lp_carriers *carriers, unsigned long nr)
{
	while (carriers->nr > nr) {
		struct lp_carrier *carrier = &carriers->list[--carriers->nr];

		if (carrier->task)
			put_task_struct(carrier->task);
		if (carrier->patch)
			lp_patch_put(carrier->patch);
		mmput(carrier->mm);
	}
}

/* Makes room for @more. Return: 0 or -ENOMEM. */
static int lp_carriers_reserve(struct lp_carriers *carriers, unsigned long more)
{
	unsigned long max = carriers->nr + more;
	struct lp_carrier *list;

	if (max <= carriers->max)
		return 0;
	list = kvmalloc_array(max, sizeof(*list), GFP_KERNEL);
	if (!list)
		return -ENOMEM;
	if (carriers->nr)
		memcpy(list, carriers->list, carriers->nr * sizeof(*list));
	kvfree(carriers->list);
	carriers->list = list;
	carriers->max = max;
	return 0;
}

static int lp_carrier_cmp(const void *a, const void *b)
{
	const struct lp_carrier *x = a, *y = b;

	if (x->mm != y->mm)
		return x->mm < y->mm ? -1 : 1;
	return x->base < y->base ? -1 : x->base > y->base;
}

static void lp_carriers_sort(struct lp_carriers *carriers, unsigned long from)
{
	sort(carriers->list + from, carriers->nr - from, sizeof(*carriers->list), lp_carrier_cmp,
	     NULL);
}

/*
 * Of those from the @from'th on, which carry @patch, drops those that have a record of their own,
 * those that no record vouches for, and all but one of the several segments in one mm.
 */
static void lp_carriers_sift(struct lp_patch *patch, struct lp_carriers *carriers,
			     unsigned long from)
{
	unsigned long i, kept = from;

	lp_carriers_sort(carriers, from);
	for (i = from; i < carriers->nr; i++) {
		struct lp_carrier *carrier = &carriers->list[i];

		if ((kept > from && !lp_carrier_cmp(carrier, &carriers->list[kept - 1])) ||
		    lp_target_has(carrier->mm, patch, carrier->base) ||
		    !lp_record_vouches(patch, carrier->base)) {
			mmput(carrier->mm);
			continue;
		}
		lp_patch_get(patch);
		carrier->patch = patch;
		carriers->list[kept++] = *carrier;
	}
	carriers->nr = kept;
}

/* Appends those that want a record of @patch. Return: 0 or -ENOMEM. */
static int lp_carriers_add(struct lp_patch *patch, struct lp_carriers *carriers)
{
	unsigned long from = carriers->nr, more = LP_CARRIERS_SLACK, found;
	int ret;

	for (;;) {
		ret = lp_carriers_reserve(carriers, more);
		if (ret)
			return ret;
		found = lp_carriers_walk(patch, carriers);
		if (found <= more)
			break;
		lp_carriers_cut(carriers, from);
		more = found + LP_CARRIERS_SLACK;
	}
	lp_carriers_sift(patch, carriers, from);
	return 0;
}

/* The first carrier whose mm is not below @mm. */
static unsigned long lp_carriers_lower(const struct lp_carriers *carriers,
				       const struct mm_struct *mm)
{
	unsigned long lo = 0, hi = carriers->nr;

	while (lo < hi) {
		unsigned long mid = lo + (hi - lo) / 2;

		if (carriers->list[mid].mm < mm)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

/*
 * Finds the process of each mm: the oldest, should several share it. Kernel threads only borrow
 * memory. Sorted by mm.
 */
static void lp_carriers_identify(struct lp_carriers *carriers)
{
	struct task_struct *p, *t;
	unsigned long i;

	rcu_read_lock();
	for_each_process_thread(p, t) {
		struct mm_struct *mm = READ_ONCE(t->mm);

		if (!mm || (READ_ONCE(t->flags) & PF_KTHREAD))
			continue;
		i = lp_carriers_lower(carriers, mm);
		if (i < carriers->nr && carriers->list[i].mm == mm && !carriers->list[i].task)
			carriers->list[i].task = get_task_struct(t);
	}
	rcu_read_unlock();
}

/*
 * Gives the @nr carriers of one mm their records, all at once: what lies over a patch is foreign to
 * it until the other one is known.
 *
 * @began: ktime ns of the search. A child gets its start time after its memory, so what was born
 * later may be missing from the lists of the patches that were looked for first.
 *
 * Return: 0, -ENOMEM, or -EAGAIN if there is no process yet (a fork that is under way), or one that
 * was born just now, or an operation on it is.
 */
static int lp_carriers_adopt(const struct lp_carrier *carriers, unsigned long nr, u64 began)
{
	struct mm_struct *mm = carriers->mm;
	struct task_struct *task = carriers->task;
	struct lp_target *target;
	unsigned long i;
	int ret = 0;

	if (!task) /* only the references that were taken here are left: it ended */
		return atomic_read(&mm->mm_users) == nr ? 0 : -EAGAIN;
	if (task->start_time > began)
		return -EAGAIN;
	target = lp_target_get(mm, task);
	if (!target)
		return -ENOMEM;
	/* Not waited for: an operation that holds it looked for its records before it began. */
	if (down_trylock(&target->lock)) {
		lp_target_put(target);
		return -EAGAIN;
	}
	for (i = 0; !ret && i < nr; i++)
		if (!lp_target_has(mm, carriers[i].patch, carriers[i].base))
			ret = lp_record_inherit(target, carriers[i].patch, carriers[i].base);
	up(&target->lock);
	lp_target_put(target);
	return ret;
}

static int lp_carriers_adopt_all(struct lp_carriers *carriers, u64 began)
{
	unsigned long i, nr;
	int ret = 0, one;

	lp_carriers_sort(carriers, 0);
	lp_carriers_identify(carriers);
	for (i = 0; i < carriers->nr; i += nr) {
		for (nr = 1; i + nr < carriers->nr; nr++)
			if (carriers->list[i + nr].mm != carriers->list[i].mm)
				break;
		one = lp_carriers_adopt(&carriers->list[i], nr, began);
		if (one && ret != -ENOMEM)
			ret = one;
	}
	return ret;
}

/**
 * lp_lineage_find() - give a record to every process that has a patch in its memory
 *
 * Context: process; no lock held.
 * Return: 0; -ENOMEM; or -EAGAIN if there may be processes without a record: a fork is under way,
 * or another client is at the process just now. The next search finds them.
 */
int lp_lineage_find(void)
{
	struct lp_carriers carriers = {};
	struct lp_patch *patch;
	int ret = 0;
	u64 began;

	mutex_lock(&lp_lineage_lock);
	began = ktime_get_ns();
	lp_search++;
	while (!ret && (patch = lp_record_patch(lp_search))) {
		ret = lp_carriers_add(patch, &carriers);
		lp_patch_put(patch);
	}
	if (!ret && carriers.nr)
		ret = lp_carriers_adopt_all(&carriers, began);
	mutex_unlock(&lp_lineage_lock);
	lp_carriers_cut(&carriers, 0);
	kvfree(carriers.list);
	return ret;
}

/*
 * What marks a record as ended: its patch is unmapped, or its mm dead. It stays, as a witness, until
 * a search that began later has found all other carriers.
 */
static atomic64_t lp_endings = ATOMIC64_INIT(0);

/* lp_target.lock held. */
void lp_record_end(struct lp_record *record)
{
	if (record->ended)
		return;
	lp_records_lock();
	record->ended = atomic64_inc_return(&lp_endings);
	lp_records_unlock();
}

/* Does the process that a target was named by still run on its mm? It may have ended, or exec'ed. */
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
 * The process that a target was named by is gone, but others may share its memory (CLONE_VM without
 * CLONE_THREAD): the target goes by one of those. Return: whether there is none. lp_target.lock
 * held.
 */
static bool lp_target_rename(struct lp_target *target)
{
	struct lp_carrier carrier = { .mm = target->mm };
	struct lp_carriers one = { .list = &carrier, .nr = 1 };
	struct pid *old = target->tgid;

	lp_carriers_identify(&one);
	if (!carrier.task)
		return true;
	rcu_read_lock();
	target->tgid = get_pid(task_tgid(carrier.task));
	rcu_read_unlock();
	put_pid(old);
	put_task_struct(carrier.task);
	return false;
}

/*
 * Marks the records of a target whose mm is dead, and deletes those that ended no later than
 * @until. Return: whether there are some to come back to, or the mm is just ending.
 */
static bool lp_target_sweep(struct lp_target *target, u64 until)
{
	bool dead = !atomic_read(&target->mm->mm_users), again = false;
	struct lp_record *record, *next;

	/* An operation under way finds out by itself. */
	if (down_trylock(&target->lock))
		return true;
	if (!dead && !lp_target_is_named(target))
		again = lp_target_rename(target);
	list_for_each_entry_safe(record, next, &target->records, node) {
		if (dead)
			lp_record_end(record);
		if (!record->ended)
			continue;
		if (record->ended <= until)
			lp_record_del(target, record);
		else
			again = true;
	}
	up(&target->lock);
	return again;
}

static bool lp_targets_sweep(u64 until)
{
	struct lp_target *target;
	bool again = false;

	for (target = lp_target_next(NULL); target; target = lp_target_next(target))
		again |= lp_target_sweep(target, until);
	return again;
}

static void lp_purge_fn(struct work_struct *work)
{
	lp_lineage_purge();
}

static DECLARE_DELAYED_WORK(lp_purge_work, lp_purge_fn);

/**
 * lp_lineage_purge() - end the records of dead targets and of unmapped patches
 *
 * What cannot end yet does so later by itself.
 *
 * Context: process; no lock held.
 */
void lp_lineage_purge(void)
{
	u64 until;

	if (!lp_target_count() || !lp_targets_sweep(0))
		return;
	until = atomic64_read(&lp_endings);
	if (lp_lineage_find() || lp_targets_sweep(until))
		schedule_delayed_work(&lp_purge_work, HZ);
}

static struct tracepoint *lp_process_exit;
static struct tracepoint *lp_process_exec;

/* Both end an mm soon. Called with preemption disabled. */
static void lp_process_ends(void)
{
	if (lp_target_count())
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

int __init lp_lineage_init(void)
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

void lp_lineage_exit(void)
{
	tracepoint_probe_unregister(lp_process_exec, lp_exec_probe, NULL);
	tracepoint_probe_unregister(lp_process_exit, lp_exit_probe, NULL);
	tracepoint_synchronize_unregister();
	cancel_delayed_work_sync(&lp_purge_work);
}
