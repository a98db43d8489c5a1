// SPDX-License-Identifier: GPL-2.0
/*
 * Tracks which images have been mapped executable in which mm. A word on a stack can be a return
 * address into an image only if code of the image has run, and code cannot have run in an mm in
 * which the image was never mapped executable. So in a process that starts, words that its parent
 * passed as arguments and environment cannot be return addresses, and the stack need not be
 * searched.
 *
 * There is a mark for each mm and each image of a boot entry that was mapped in it, and one for
 * each mm that is older than the newest boot entry, as its earlier mappings are unknown. A fork
 * copies the marks with the mm; the marks are dropped with the mm.
 *
 * A mapping that mprotect() makes executable is noticed only when a VMA is split or merged. A
 * program that does this to an image and then maps the image again is not covered. Neither is a
 * program that maps an image over code that is running, or has another thread execute an image
 * while it is being mapped.
 */

#include <linux/hashtable.h>
#include <linux/mm_types.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/rcupdate.h>
#include <linux/sched/signal.h>
#include <linux/sched/task.h>
#include <linux/slab.h>
#include <linux/spinlock.h>

#include "history.h"

/* Processes that may be created while the existing ones are counted. */
#define LP_MARKS_SLACK 64

/*
 * Memory for a mark is charged to the process that it concerns. The allocation cannot fail, since
 * the callers have no way to report a failure.
 */
#define LP_MARK_GFP (GFP_KERNEL_ACCOUNT | __GFP_NOFAIL)

/**
 * struct lp_mark - an image has been executable in an mm, or may have been
 * @node: in the hash by mm; lp_marks_lock
 * @rcu: for kfree_rcu()
 * @mm: compared only; not reused before lpatch_history_ended()
 * @inode: of the image, compared only; NULL for a mark of the age of the mm
 * @age: value of lp_age when the mm, or the mm it was copied from, was first seen; if @inode is
 *	NULL
 */
struct lp_mark {
	struct hlist_node node;
	struct rcu_head rcu;
	const struct mm_struct *mm;
	const struct inode *inode;
	u64 age;
};

/* Serializes changes of the hash, which is read under RCU. */
static DEFINE_SPINLOCK(lp_marks_lock);
static DEFINE_HASHTABLE(lp_marks, 12);

/* Grows with each boot entry. The mutex serializes lpatch_history_begin(). */
static DEFINE_MUTEX(lp_age_lock);
static u64 lp_age;

static void lp_mark_add(struct lp_mark *mark, const struct mm_struct *mm, const struct inode *inode,
			u64 age)
{
	lockdep_assert_held(&lp_marks_lock);
	mark->mm = mm;
	mark->inode = inode;
	mark->age = age;
	hash_add_rcu(lp_marks, &mark->node, (unsigned long)mm);
}

static void lp_mark_drop(struct lp_mark *mark)
{
	hash_del_rcu(&mark->node);
	kfree_rcu(mark, rcu);
}

/*
 * Return: the mark of @mm for an image, or for its age if @inode is NULL; or NULL. Under RCU or
 * lp_marks_lock.
 */
static const struct lp_mark *lp_mark_find(const struct mm_struct *mm, const struct inode *inode)
{
	const struct lp_mark *mark;

	hash_for_each_possible_rcu(lp_marks, mark, node, (unsigned long)mm, lockdep_is_held(&lp_marks_lock))
		if (mark->mm == mm && mark->inode == inode)
			return mark;
	return NULL;
}

static unsigned int lp_marks_count(const struct mm_struct *mm)
{
	const struct lp_mark *mark;
	unsigned int nr = 0;

	rcu_read_lock();
	hash_for_each_possible_rcu(lp_marks, mark, node, (unsigned long)mm, lockdep_is_held(&lp_marks_lock))
		nr += mark->mm == mm;
	rcu_read_unlock();
	return nr;
}

/**
 * lpatch_history_first() - has an image never been executable in an mm, as far as is known?
 * @mm: of current
 * @inode: of the image, which is mapped executable now; gets a mark
 *
 * lpatch_history_is_known() tells whether the answer covers the whole life of the mm.
 *
 * Context: mmap_lock held for writing, so that no other task marks this mm for this image.
 */
bool lpatch_history_first(const struct mm_struct *mm, const struct inode *inode)
{
	struct lp_mark *added;
	bool found;

	rcu_read_lock();
	found = lp_mark_find(mm, inode);
	rcu_read_unlock();
	if (found)
		return false;
	added = kmalloc(sizeof(*added), LP_MARK_GFP);
	spin_lock(&lp_marks_lock);
	lp_mark_add(added, mm, inode, 0);
	spin_unlock(&lp_marks_lock);
	return true;
}

/**
 * lpatch_history_is_known() - were the images of a boot entry tracked during the whole life of an
 * mm?
 * @mm: the mm
 * @since: what lpatch_history_begin() returned for the entry, or 0 if it has not returned yet
 */
bool lpatch_history_is_known(const struct mm_struct *mm, u64 since)
{
	const struct lp_mark *mark;
	bool known;

	rcu_read_lock();
	mark = lp_mark_find(mm, NULL);
	known = since && (!mark || mark->age > since);
	rcu_read_unlock();
	return known;
}

/*
 * Takes a preallocated mark off @list. Until a mark is in the hash, its node links it into such a
 * list.
 */
static struct lp_mark *lp_mark_pop(struct hlist_head *list)
{
	struct lp_mark *mark = hlist_entry_safe(list->first, struct lp_mark, node);

	if (mark)
		__hlist_del(&mark->node);
	return mark;
}

static void lp_marks_alloc(struct hlist_head *list, unsigned int nr)
{
	while (nr--) {
		struct lp_mark *mark = kmalloc(sizeof(*mark), LP_MARK_GFP);

		hlist_add_head(&mark->node, list);
	}
}

static void lp_marks_free(struct hlist_head *list)
{
	struct lp_mark *mark;

	while ((mark = lp_mark_pop(list)))
		kfree(mark);
}

/* Copies the marks of @old to @new. lp_marks_lock held; @list has enough preallocated marks. */
static void lp_marks_copy(const struct mm_struct *old, const struct mm_struct *new, struct hlist_head *list)
{
	const struct lp_mark *mark;

	hash_for_each_possible_rcu(lp_marks, mark, node, (unsigned long)old, lockdep_is_held(&lp_marks_lock))
		if (mark->mm == old)
			lp_mark_add(lp_mark_pop(list), new, mark->inode, mark->age);
}

/**
 * lpatch_history_copied() - copy the marks of an mm at fork
 * @old: its mmap_lock is held for writing, so it maps nothing meanwhile
 * @new: the copy, not visible to other tasks yet
 *
 * Context: process; may sleep.
 */
void lpatch_history_copied(const struct mm_struct *old, const struct mm_struct *new)
{
	unsigned int nr = lp_marks_count(old), have = 0;
	HLIST_HEAD(list);
	bool enough;

	/* A module that is being unloaded has no boot entry, and gets none. */
	if (likely(!nr) || !try_module_get(THIS_MODULE))
		return;
	do {
		lp_marks_alloc(&list, nr);
		have += nr;
		spin_lock(&lp_marks_lock);
		nr = lp_marks_count(old); /* lpatch_history_begin() may have added one */
		enough = nr <= have;
		if (enough)
			lp_marks_copy(old, new, &list);
		spin_unlock(&lp_marks_lock);
	} while (!enough);
	lp_marks_free(&list);
	module_put(THIS_MODULE);
}

/* Drops the marks of @mm, or all marks if @mm is NULL. */
static void lp_marks_drop(const struct mm_struct *mm)
{
	struct hlist_node *next;
	struct lp_mark *mark;
	unsigned int bucket;

	spin_lock(&lp_marks_lock);
	if (mm) {
		hash_for_each_possible_safe(lp_marks, mark, next, node, (unsigned long)mm)
			if (mark->mm == mm)
				lp_mark_drop(mark);
	} else {
		hash_for_each_safe(lp_marks, bucket, next, mark, node)
			lp_mark_drop(mark);
	}
	spin_unlock(&lp_marks_lock);
}

/* Drops the marks of an mm that is going away. Context: process. */
void lpatch_history_ended(const struct mm_struct *mm)
{
	if (likely(!lp_marks_count(mm)) || !try_module_get(THIS_MODULE))
		return;
	lp_marks_drop(mm);
	module_put(THIS_MODULE);
}

/* Drops all marks: there is no boot entry any more, and a new one starts from scratch. */
void lpatch_history_forget(void)
{
	lp_marks_drop(NULL);
}

/* Marks an mm as existing. lp_marks_lock held. Return: false if @list is empty. */
static bool lp_mark_old(const struct mm_struct *mm, struct hlist_head *list)
{
	struct lp_mark *mark;

	if (lp_mark_find(mm, NULL))
		return true;
	mark = lp_mark_pop(list);
	if (mark)
		lp_mark_add(mark, mm, NULL, lp_age);
	return mark;
}

/* Marks all existing mms. Return: false if @list had too few marks. */
static bool lp_marks_walk(struct hlist_head *list)
{
	struct task_struct *p, *t;
	bool done = true;

	rcu_read_lock();
	for_each_process_thread(p, t) {
		/*
		 * exit_mm() takes the task lock, too, so the mm of a thread cannot go away under
		 * it.
		 */
		task_lock(t);
		if (done && t->mm && !(t->flags & PF_KTHREAD)) {
			spin_lock(&lp_marks_lock);
			done = lp_mark_old(t->mm, list);
			spin_unlock(&lp_marks_lock);
		}
		task_unlock(t);
	}
	rcu_read_unlock();
	return done;
}

static unsigned int lp_count_processes(void)
{
	struct task_struct *p;
	unsigned int nr = 0;

	rcu_read_lock();
	for_each_process(p)
		nr++;
	rcu_read_unlock();
	return nr;
}

/**
 * lpatch_history_begin() - mark the mms that exist
 *
 * A fork that is copying an mm right now, and whose child is not on the task list yet, is missed:
 * its mm counts as younger. As a result the child may have an image patched that it had mapped
 * before and is just mapping again.
 *
 * Context: process; the images are being tracked already.
 * Return: a number for lpatch_history_is_known().
 */
u64 lpatch_history_begin(void)
{
	HLIST_HEAD(list);
	u64 age;

	mutex_lock(&lp_age_lock);
	age = ++lp_age;
	do {
		lp_marks_alloc(&list, lp_count_processes() + LP_MARKS_SLACK);
	} while (!lp_marks_walk(&list));
	lp_marks_free(&list);
	mutex_unlock(&lp_age_lock);
	return age;
}
