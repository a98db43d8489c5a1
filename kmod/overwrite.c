// SPDX-License-Identifier: GPL-2.0
/*
 * Overwrites the sites of a patch in a target, or restores them, all in one stop window or none:
 *
 *   for each attempt: list threads, search the stacks of sleeping threads -> mmap_lock -> pin the
 *   pages, compare the bytes -> open the window -> search the stacks of the other threads, compare
 *   again -> commit -> write -> release -> unlock -> unpin
 *
 * mmap_lock is held for read from the pinning to the release, so that no fork copies half-written
 * text and no mapping goes away. Nothing in between takes it again: with a waiting writer that
 * would deadlock. It is released before preemption is enabled. Otherwise a thread that was just
 * released, with a higher priority than this one, could keep this one from releasing it.
 *
 * The check before an unload is the same without sites. So is a recount.
 */

#include <linux/jiffies.h>
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/pid.h>
#include <linux/slab.h>
#include <linux/timekeeping.h>

#include "freeze.h"
#include "load.h"
#include "op.h"
#include "overwrite.h"
#include "patch.h"
#include "places.h"
#include "span.h"
#include "stack.h"
#include "target.h"
#include "threads.h"
#include "trace.h"

/* Back-off between attempts, in ms. */
#define LP_RETRY_MIN_MS 1
#define LP_RETRY_MAX_MS 100

/*
 * Attempts that are repeated without waiting: stack pages have to be faulted in, or threads were
 * created meanwhile.
 */
#define LP_PROMPT_RETRIES 16

/* Limits the attempts after a window that exceeded its deadline. */
#define LP_DEADLINE_RETRIES 3

/**
 * struct lp_stop - state of the attempts to stop a target and overwrite its sites
 * @places: places to overwrite; none for an unload or a recount
 * @scan: the search for references to code that goes out of use
 * @freeze: the threads of one attempt, and its window
 * @partial: only a part of the patch is mapped: lpatch_live_is_partial()
 */
struct lp_stop {
	struct lp_places places;
	struct lp_scan scan;
	struct lp_freeze freeze;
	bool partial;
};

static void lp_stop_free(struct lp_stop *stop)
{
	if (!stop)
		return;
	kvfree(stop->places.table);
	kvfree(stop->scan.spans.table);
	kfree(stop->scan.buf);
	kfree(stop);
}

/* Return: the state, or NULL with the operation refused. */
static struct lp_stop *lp_stop_alloc(const struct lp_op *op, struct lp_outcome *out)
{
	struct lp_stop *stop = kzalloc(sizeof(*stop), GFP_KERNEL_ACCOUNT);

	if (stop)
		stop->scan.buf = kmalloc(LP_SCAN_BUF, GFP_KERNEL_ACCOUNT);
	if (stop && stop->scan.buf)
		return stop;
	lp_stop_free(stop);
	lpatch_refuse(out, LPATCH_REFUSAL_NO_MEMORY, "there is no memory for the tables of patch %s",
		      op->patch->name);
	return NULL;
}

/* Refuses the operation because of the thread that is in the way. */
static int lp_refuse_busy(const struct lp_scan *scan, struct lp_outcome *out)
{
	static const char * const how[] = {
		[LP_BUSY_IP] = "is executing",
		[LP_BUSY_REGISTER] = "has in a register an address inside",
		[LP_BUSY_STACK] = "has on its stack an address inside",
	};

	out->tid = scan->tid;
	out->function[0] = '\0';
	switch (scan->how) {
	case LP_BUSY_SIGNAL_STACK:
		return lpatch_refuse(out, LPATCH_REFUSAL_THREAD_SIGNAL_STACK,
				     "thread %d (%s) is on its alternate signal stack, and the stack that it left cannot be searched",
				     scan->tid, scan->comm);
	case LP_BUSY_RUNNING:
		return lpatch_refuse(out, LPATCH_REFUSAL_THREAD_RUNNING,
				     "thread %d (%s) stayed inside a system call on a CPU for too long",
				     scan->tid, scan->comm);
	case LP_BUSY_UNREADABLE:
		return lpatch_refuse(out, LPATCH_REFUSAL_STACK_UNREADABLE,
				     "the stack of thread %d (%s) cannot be read", scan->tid,
				     scan->comm);
	default:
		if (scan->span->is_patch)
			return lpatch_refuse(out, LPATCH_REFUSAL_THREAD_ACTIVE,
					     "thread %d (%s) %s patch %s", scan->tid, scan->comm,
					     how[scan->how], scan->span->name);
		strscpy(out->function, scan->span->name, sizeof(out->function));
		return lpatch_refuse(out, LPATCH_REFUSAL_THREAD_ACTIVE, "thread %d (%s) %s %s",
				     scan->tid, scan->comm, how[scan->how], scan->span->name);
	}
}

static int lp_refuse_deadline(const struct lp_op *op, const struct lp_freeze *f,
			      struct lp_outcome *out)
{
	return lpatch_refuse(out, LPATCH_REFUSAL_DEADLINE,
			     "stopping the %u threads of %s[%u] would take longer than the limit of %llu us",
			     lpatch_freeze_nr(f), op->target->comm, op->request->pid,
			     op->request->max_stop / NSEC_PER_USEC);
}

/* Return: the address of the word that forbids this operation, if it is an unload, or NULL. */
static const void __user *lp_pin(const struct lp_op *op)
{
	if (op->request->verb != LP_UNLOAD || !op->patch->pin)
		return NULL;
	return (const void __user *)(op->base + op->patch->pin);
}

/*
 * Does the program hold pointers into a patch that is about to be unmapped? A call that is about to
 * create such pointers has an address of the patch on its stack, and was found by the stack search
 * before.
 * Return: 0 or a refusal.
 */
static int lp_pin_check(const struct lp_op *op, bool partial, struct lp_outcome *out)
{
	const void __user *pin = lp_pin(op);
	u64 word;

	if (!pin || partial)
		return 0;
	if (copy_from_user_nofault(&word, pin, sizeof(word)))
		return lpatch_refuse(out, LPATCH_REFUSAL_PINNED,
				     "the data of patch %s in %s[%u] cannot be read, so whether the program holds pointers into it is not known",
				     op->patch->name, op->target->comm, op->request->pid);
	if (word)
		return lpatch_refuse(out, LPATCH_REFUSAL_PINNED,
				     "patch %s has registered its unwind tables in %s[%u] and stays mapped until the process ends",
				     op->patch->name, op->target->comm, op->request->pid);
	return 0;
}

/* Return: as lp_window(). */
static int lp_window_check(const struct lp_op *op, struct lp_stop *stop, struct lp_outcome *out)
{
	int ret = lpatch_threads_check(&stop->scan, &stop->freeze);

	if (ret && lpatch_freeze_expired(&stop->freeze))
		return lp_refuse_deadline(op, &stop->freeze, out);
	if (ret == -EBUSY)
		return lp_refuse_busy(&stop->scan, out);
	return ret ?: lpatch_places_check(&stop->places, op, out, true) ?:
		      lp_pin_check(op, stop->partial, out);
}

/* Return: 0, or a refusal, and nothing may be written. */
static int lp_decide(const struct lp_op *op, struct lp_freeze *f, struct lp_outcome *out)
{
	int ret = lpatch_freeze_commit(f);

	if (ret == -ENOTRECOVERABLE)
		return lpatch_refuse(out, LPATCH_REFUSAL_BROKEN,
				     "a thread of %s[%u] could have run in the window: this is an error of lpatch, please report what the kernel's log says",
				     op->target->comm, op->request->pid);
	return ret ? lp_refuse_deadline(op, f, out) : 0;
}

/*
 * The stop window. mmap_lock held, pages pinned, preemption disabled. Return: 0, a refusal, -EFAULT
 * if pages have to be faulted in, -EAGAIN if too many threads were created.
 */
static int lp_window(const struct lp_op *op, struct lp_stop *stop, struct lp_outcome *out)
{
	struct lp_freeze *f = &stop->freeze;
	int ret;

	out->attempts++;
	ret = lpatch_freeze_begin(f, op->request->max_stop);
	if (ret)
		goto out;
	ret = lp_window_check(op, stop, out);
	lpatch_freeze_lap(f, &f->times.check);
	trace_checks(f, ret);
	if (ret)
		goto out;
	if (stop->scan.active.threads && lp_request_writes(op->request))
		WRITE_ONCE(op->patch->let_pass, true);
	ret = lp_decide(op, f, out);
	if (!ret && lp_request_writes(op->request)) {
		lpatch_places_write(&stop->places);
		lpatch_places_note(&stop->places, op);
	}
	lpatch_freeze_lap(f, &f->times.write);
	if (!ret && lp_request_writes(op->request))
		trace_write(f, stop->places.nr);
	if (!ret)
		out->active = stop->scan.active;
out:
	lpatch_freeze_end(f, !ret && lp_request_writes(op->request));
	return ret;
}

/* Return: as lp_window(). mmap_lock held. */
static int lp_locked_prepare(const struct lp_op *op, struct lp_stop *stop, struct lp_outcome *out)
{
	int ret = lpatch_places_verify(&stop->places, op, out);

	if (op->record)
		stop->partial = lpatch_live_is_partial(op->target->mm, op->record);
	if (!ret && lp_request_writes(op->request))
		ret = lpatch_places_pin(&stop->places, op, out);
	if (!ret)
		ret = lpatch_places_check(&stop->places, op, out, false);
	if (!ret)
		lpatch_freeze_stage(&stop->freeze);
	return ret;
}

/* Return: as lp_window(). */
static int lp_locked_window(const struct lp_op *op, struct lp_stop *stop, struct lp_outcome *out)
{
	u64 locked;
	int ret;

	ret = lpatch_op_lock_memory(op, out);
	if (ret)
		return ret;
	locked = ktime_get_ns();
	ret = lp_locked_prepare(op, stop, out);
	preempt_disable();
	if (!ret)
		ret = lp_window(op, stop, out);
	out->lock_ns = ktime_get_ns() - locked;
	/* mmap_read_unlock() has a tracepoint that takes a lock, which sleeps on PREEMPT_RT. */
	up_read(&op->target->mm->mmap_lock);
	preempt_enable();
	lpatch_places_unpin(&stop->places);
	return ret;
}

/*
 * Faults in as much as possible of what the window reads and writes. If the wait for a stack is
 * interrupted, the rest is faulted in nevertheless.
 */
static void lp_prepare_memory(const struct lp_op *op, struct lp_stop *stop, u64 until)
{
	if (lpatch_op_wait_begin(op))
		lpatch_threads_prescan(&stop->scan, &stop->freeze, until);
	lpatch_op_wait_end(op);
	if (lpatch_op_wait_begin(op)) {
		lpatch_places_fault_in(&stop->places, op->target->mm, lp_request_writes(op->request));
		fault_in_readable(lp_pin(op), lp_pin(op) ? sizeof(u64) : 0);
	}
	lpatch_op_wait_end(op);
}

/* One attempt. @until: ktime ns when the operation times out. */
static int lp_attempt(const struct lp_op *op, struct lp_stop *stop, struct lp_outcome *out, u64 until)
{
	struct lp_freeze *f = &stop->freeze;
	int ret;

	memset(f, 0, sizeof(*f));
	f->pid = pid_nr(op->target->tgid);
	ret = lpatch_freeze_prepare(f, op->target->mm);
	if (ret == -ENOMEM)
		ret = lpatch_refuse(out, LPATCH_REFUSAL_NO_MEMORY,
				    "there is no memory for the gates of %s[%u]", op->target->comm,
				    op->request->pid);
	if (!ret) {
		lp_prepare_memory(op, stop, max(until, ktime_get_ns() + op->request->max_stop));
		ret = lp_locked_window(op, stop, out);
	}
	out->threads = lpatch_freeze_nr(f) + !!f->self;
	out->times = f->times;
	lpatch_freeze_finish(f);
	return ret;
}

/* May the reason of a refusal go away soon? What current itself has on its stack stays. */
static bool lp_may_pass(const struct lp_op *op, const struct lp_places *places,
			const struct lp_outcome *out, unsigned int *deadlines)
{
	switch (out->refusal) {
	case LPATCH_REFUSAL_THREAD_ACTIVE:
	case LPATCH_REFUSAL_THREAD_RUNNING:
	case LPATCH_REFUSAL_THREAD_SIGNAL_STACK:
	case LPATCH_REFUSAL_STACK_UNREADABLE: /* perhaps of a thread that is exiting */
		return op->canceled || out->tid != task_pid_nr(current);
	case LPATCH_REFUSAL_SITE_UNREADABLE: /* its page was faulted in, and reclaimed before it could be read */
		return places->missing && !places->fault;
	case LPATCH_REFUSAL_DEADLINE:
		return (*deadlines)++ < LP_DEADLINE_RETRIES;
	default:
		return false;
	}
}

/*
 * Faults in the part of a stack that was missing in the window. Return: 0, or nonzero if that
 * fails.
 */
static int lp_fault_stack_in(const struct lp_op *op, const struct lp_scan *scan)
{
	int ret = -EFAULT;

	if (lpatch_op_wait_begin(op) && scan->fault_start != scan->fault_end)
		ret = fault_in_readable((const char __user *)scan->fault_start,
					scan->fault_end - scan->fault_start);
	lpatch_op_wait_end(op);
	return ret;
}

/*
 * Removes the reason of a failed attempt, if possible. Return: true if another attempt without
 * waiting is worthwhile.
 */
static bool lp_retry_promptly(const struct lp_op *op, struct lp_stop *stop, struct lp_outcome *out,
			      int ret, unsigned int *prompt)
{
	if (ret == -EFAULT && out->refusal == LPATCH_REFUSAL_NONE) {
		if ((stop->places.missing || !lp_fault_stack_in(op, &stop->scan)) && (*prompt)--)
			return true;
		if (stop->places.missing)
			lpatch_places_refuse_missing(&stop->places, op, out);
		else
			lp_refuse_busy(&stop->scan, out);
		return false;
	}
	if (ret == -EAGAIN) {
		if (!(*prompt)--) {
			lpatch_refuse(out, LPATCH_REFUSAL_THREAD_RUNNING,
				      "%s[%u] creates threads faster than they can be stopped",
				      op->target->comm, op->request->pid);
			return false;
		}
		return true;
	}
	return false;
}

/*
 * Repeats attempts until one succeeds, the reason of a refusal cannot go away, or the operation
 * times out. Not inlined, so that its name appears in stack traces. Return: 0 or a refusal.
 */
static noinline int lp_attempts(const struct lp_op *op, struct lp_stop *stop, struct lp_outcome *out)
{
	u64 until = ktime_get_ns() + op->request->timeout;
	unsigned int wait_ms = LP_RETRY_MIN_MS, prompt = LP_PROMPT_RETRIES, deadlines = 0;
	int ret;

	for (;;) {
		lpatch_refusal_clear(out);
		stop->places.missing = NULL;
		ret = lp_attempt(op, stop, out, until);
		if (!ret)
			return 0;
		if (lp_retry_promptly(op, stop, out, ret, &prompt))
			continue;
		if (!lp_may_pass(op, &stop->places, out, &deadlines) ||
		    until < ktime_get_ns() + wait_ms * (u64)NSEC_PER_MSEC)
			return -lpatch_refusal_errno(out->refusal);
		if (lpatch_op_pause(op, msecs_to_jiffies(wait_ms)))
			return lpatch_refuse_canceled(out);
		wait_ms = min_t(unsigned int, 2 * wait_ms, LP_RETRY_MAX_MS);
		prompt = LP_PROMPT_RETRIES;
	}
}

/*
 * Gets the load bias of the images: as of the load of the patch if there is a record, since its
 * code refers to these addresses. lpatch_places_verify() checks under mmap_lock whether the images
 * have moved.
 */
static int lp_op_locate(struct lp_op *op)
{
	if (!op->record)
		return lpatch_load_locate(op);
	memcpy(op->bases, op->record->bases, sizeof(op->bases));
	return 0;
}

static int lp_places_now(struct lp_places *places, const struct lp_op *op, struct lp_outcome *out)
{
	int ret = lpatch_op_lock_memory(op, out);

	if (ret)
		return ret;
	ret = lpatch_places_make(places, op, out) ?: lpatch_places_verify(places, op, out);
	mmap_read_unlock(op->target->mm);
	return ret;
}

/*
 * Opens windows until there is one in which no thread uses code that must be unused, and writes the
 * places in it. Return: 0, or a refusal with nothing changed.
 */
static int lp_stop(const struct lp_op *op, struct lp_stop *stop, struct lp_outcome *out)
{
	int ret = lpatch_spans_alloc(&stop->scan.spans, op, &stop->places, out);

	if (ret)
		return ret;
	lpatch_op_wait_begin(op);
	lpatch_spans_fill(&stop->scan.spans, op, &stop->places);
	lpatch_op_wait_end(op);
	return lp_attempts(op, stop, out);
}

/**
 * lpatch_quiesce() - check in a window that no thread uses code that must be unused
 * @op: with base, an unload or a recount; its outcome gets the threads in code that may be used
 *
 * Return: 0, or a refusal with nothing changed.
 */
int lpatch_quiesce(struct lp_op *op)
{
	struct lp_stop *stop = lp_stop_alloc(op, &op->outcome);
	int ret;

	if (!stop)
		return -lpatch_refusal_errno(op->outcome.refusal);
	ret = lp_stop(op, stop, &op->outcome);
	lp_stop_free(stop);
	return ret;
}

/**
 * lpatch_overwrite() - write the new bytes of all sites, or with LP_RESTORE the old ones
 * @op: with base and, except for a dry run of a patch that is not loaded, record
 *
 * The sites of other patches that the request replaces are restored in the same window.
 *
 * Return: 0, or a refusal with nothing changed.
 */
int lpatch_overwrite(struct lp_op *op)
{
	struct lp_outcome *out = &op->outcome;
	struct lp_stop *stop = lp_stop_alloc(op, out);
	int ret;

	if (!stop)
		return -lpatch_refusal_errno(out->refusal);
	ret = lp_op_locate(op);
	ret = ret ?: lp_places_now(&stop->places, op, out);
	ret = ret ?: lp_stop(op, stop, out);
	lp_stop_free(stop);
	return ret;
}

/**
 * lpatch_recount() - count the threads that are still in code that went out of use, and update the
 * record
 * @op: with record
 *
 * A thread that has left such code does not return to it. So if the record counts no thread, the
 * target is not stopped.
 *
 * Return: 0, or a refusal with the record unchanged.
 */
int lpatch_recount(struct lp_op *op)
{
	int ret;

	if (!op->record->active.threads)
		return 0;
	memcpy(op->bases, op->record->bases, sizeof(op->bases));
	ret = lpatch_quiesce(op);
	if (ret)
		return ret;
	mutex_lock(&lpatch_targets_lock);
	op->record->active = op->outcome.active;
	mutex_unlock(&lpatch_targets_lock);
	return 0;
}
