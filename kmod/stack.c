// SPDX-License-Identifier: GPL-2.0
/*
 * Searches a thread for references to code that goes out of use. The search is conservative: it
 * covers every user register, and every aligned word from the stack pointer to the end of the
 * stack's mapping, including signal frames.
 *
 * A thread that was preempted in the kernel may be in the middle of setting up or leaving a signal
 * frame, when its instruction pointer is only in a kernel variable. So its kernel stack is searched
 * as well, which holds all its saved kernel registers. A word there that points slightly below the
 * user stack pointer, where a frame would be, extends the search down to it (setup_rt_frame() sets
 * ip before sp). A sleeping thread cannot be at such a place: neither path sleeps in the middle of
 * setting registers. Whatever a thread that is off the CPU does later in the kernel only moves
 * values that this search has seen.
 *
 * uprobes hide addresses from this search: those that probe.c finds are searched, too.
 *
 * threads.c knows when a thread can be searched.
 */

#include <linux/bsearch.h>
#include <linux/mm.h>
#include <linux/ptrace.h>
#include <linux/sched/signal.h>
#include <linux/sched/task_stack.h>
#include <linux/uaccess.h>

#include "arch.h"
#include "freeze.h"
#include "probe.h"
#include "stack.h"

/*
 * The largest signal frame, with room to spare: red zone, siginfo, ucontext and an XSAVE area with
 * AMX state (11 KiB; arch/x86/kernel/fpu/xstate.c).
 */
#define LP_SIGNAL_FRAME_MAX (16UL << 10)

/*
 * If a mapping extends beyond this, only the stack is searched if its end is known; otherwise its
 * thread is in the way.
 */
#define LP_STACK_MAX (64UL << 20)

#define LP_SCAN_WORDS (LP_SCAN_BUF / sizeof(unsigned long))

/* Notes that a thread is in the way, and how. @span may be NULL. Return: -EBUSY. */
int lpatch_stack_busy(struct lp_scan *s, struct task_struct *task, enum lp_busy_how how,
		      const struct lp_span *span)
{
	s->how = how;
	s->tid = task_pid_nr(task);
	/* A window must not take its lock. A concurrent change gives a mix of both names. */
	data_race(memcpy(s->comm, task->comm, TASK_COMM_LEN));
	s->comm[TASK_COMM_LEN - 1] = '\0';
	s->span = span;
	return -EBUSY;
}

static int lp_unreadable(struct lp_scan *s, struct task_struct *task, unsigned long start,
			 unsigned long end)
{
	lpatch_stack_busy(s, task, LP_BUSY_UNREADABLE, NULL);
	s->fault_start = start;
	s->fault_end = end;
	return -EFAULT;
}

struct lp_reg_arg {
	struct lp_scan *s;
	struct task_struct *task;
};

static int lp_span_match(const void *key, const void *elt)
{
	const struct lp_span *span = elt;
	unsigned long value = *(const unsigned long *)key;

	return value < span->lo ? -1 : value >= span->hi;
}

/*
 * Return: the one of sorted and disjoint spans that contains @value, or NULL. Most words are
 * outside of all of them, which takes only two comparisons.
 */
static const struct lp_span *lp_span_find(const struct lp_span *spans, unsigned int nr,
					  unsigned long value)
{
	if (!nr || value < spans[0].lo || value >= spans[nr - 1].hi)
		return NULL;
	return bsearch(&value, spans, nr, sizeof(*spans), lp_span_match);
}

static int lp_scan_value(struct lp_scan *s, struct task_struct *task, unsigned long value,
			 enum lp_busy_how how)
{
	const struct lp_span *span = lp_span_find(s->spans.table, s->spans.nr, value);

	if (span)
		return lpatch_stack_busy(s, task, how, span);
	s->found = s->found ?: lp_span_find(s->spans.allowed, s->spans.nr_allowed, value);
	return 0;
}

static int lp_scan_reg(unsigned long value, bool ip, void *arg)
{
	struct lp_reg_arg *a = arg;

	return lp_scan_value(a->s, a->task, value, ip ? LP_BUSY_IP : LP_BUSY_REGISTER);
}

static int lp_scan_probed(unsigned long value, bool ip, void *arg)
{
	struct lp_reg_arg *a = arg;

	return lp_scan_value(a->s, a->task, value, ip ? LP_BUSY_IP : LP_BUSY_STACK);
}

/* Return: bytes from the start of the first span to the end of the last. Sets @lo to that start. */
static unsigned long lp_spans_reach(const struct lp_span *spans, unsigned int nr, unsigned long *lo)
{
	*lo = nr ? spans[0].lo : 0;
	return nr ? spans[nr - 1].hi - *lo : 0;
}

static int lp_scan_words(struct lp_scan *s, struct task_struct *task, unsigned int nr)
{
	unsigned long lo, len, allowed_lo, allowed_len;
	unsigned int i;
	int ret;

	len = lp_spans_reach(s->spans.table, s->spans.nr, &lo);
	allowed_len = lp_spans_reach(s->spans.allowed, s->spans.nr_allowed, &allowed_lo);
	for (i = 0; i < nr; i++) {
		unsigned long word = s->buf[i];

		/*
		 * True for almost every word. Avoid a function call for each, which would make the
		 * window noticeably longer.
		 */
		if (word - lo >= len && word - allowed_lo >= allowed_len)
			continue;
		ret = lp_scan_value(s, task, word, LP_BUSY_STACK);
		if (ret)
			return ret;
	}
	return 0;
}

static int lp_read_user(const struct lp_scan *s, void *to, unsigned long from, unsigned int len)
{
	if (s->freeze)
		return copy_from_user_nofault(to, (void __user *)from, len);
	return copy_from_user(to, (void __user *)from, len) ? -EFAULT : 0;
}

/*
 * Can this be an alternate stack that contains @sp? Three arbitrary words of a stack would mostly
 * describe a stack of unusual size. One larger than LP_STACK_MAX is accepted only if it is page
 * aligned, as if from mmap().
 */
static bool lp_is_stack_of(unsigned long start, unsigned long size, unsigned long sp)
{
	return sp - start <= size &&
	       (size <= LP_STACK_MAX || (start && PAGE_ALIGNED(start | size)));
}

/*
 * With SS_AUTODISARM the kernel clears the alternate stack while a handler runs on it. The signal
 * frame has it: its uc_stack is three words, start, flags and size. A frame of another stack in the
 * same mapping says nothing about this thread.
 */
static bool lp_is_disarmed_stack(struct lp_scan *s, unsigned int nr, unsigned long sp)
{
	unsigned long start = s->before[0], flags = s->before[1];
	unsigned int i;

	for (i = 0; i < nr; i++) {
		unsigned long size = s->buf[i];

		if (((u32)flags & ~SS_ONSTACK) == SS_AUTODISARM && lp_is_stack_of(start, size, sp))
			return true;
		start = flags;
		flags = size;
	}
	s->before[0] = start;
	s->before[1] = flags;
	return false;
}

/*
 * Searches [@at, @end). [@sp, @end) is the stack. A signal frame may be under construction below
 * it; a page that is not in memory has no part of that frame.
 */
static int lp_scan_user_stack(struct lp_scan *s, struct task_struct *task, unsigned long at,
			      unsigned long sp, unsigned long end)
{
	unsigned int len;
	int ret;

	memset(s->before, 0, sizeof(s->before));
	for (; at < end; at += len) {
		/*
		 * A deep stack must not hold the other threads longer than allowed, nor delay a
		 * killed client.
		 */
		if (ktime_get_ns() >= s->until || fatal_signal_pending(current))
			return lpatch_stack_busy(s, task, LP_BUSY_RUNNING, NULL);
		if (s->freeze)
			lpatch_freeze_relax(s->freeze);
		else
			cond_resched();
		len = min(end - at, LP_SCAN_BUF - offset_in_page(at));
		ret = lp_read_user(s, s->buf, at, len);
		if (ret && at + len <= sp)
			continue;
		if (ret)
			return lp_unreadable(s, task, max(at, sp), end);
		ret = lp_scan_words(s, task, len / sizeof(long));
		if (ret)
			return ret;
		if (lp_is_disarmed_stack(s, len / sizeof(long), sp))
			return lpatch_stack_busy(s, task, LP_BUSY_SIGNAL_STACK, NULL);
	}
	return 0;
}

static bool lp_on_signal_stack(const struct task_struct *task, unsigned long sp)
{
	return task->sas_ss_size && sp - task->sas_ss_sp <= task->sas_ss_size;
}

/*
 * Searches the words of the kernel stack in @s->buf for the address of a signal frame under
 * construction. If it is on this stack, lowers *@at to its start.
 */
static int lp_scan_for_frame(struct lp_scan *s, struct task_struct *task, unsigned int nr,
			     unsigned long sp, unsigned long *at)
{
	unsigned int i;

	for (i = 0; i < nr; i++) {
		unsigned long word = s->buf[i];

		if (lp_on_signal_stack(task, word))
			return lpatch_stack_busy(s, task, LP_BUSY_SIGNAL_STACK, NULL);
		if (word < *at && sp - word <= LP_SIGNAL_FRAME_MAX)
			*at = word;
	}
	return 0;
}

/*
 * Also lowers *@from to the lowest address of a signal frame under construction that the kernel
 * stack mentions. The task may run and exit meanwhile, hence the nofault accesses. The caller
 * checks afterwards whether it did.
 */
static int lp_scan_kernel_stack(struct lp_scan *s, struct task_struct *task, unsigned long sp,
				unsigned long *from)
{
	unsigned long at = ALIGN(lpatch_arch_kernel_sp(task), sizeof(long));
	unsigned long end = (unsigned long)task_pt_regs(task);
	unsigned int nr;
	int ret;

	if (at >= end || end - at > THREAD_SIZE)
		return 0;
	for (; at < end; at += nr * sizeof(long)) {
		nr = min((end - at) / sizeof(long), LP_SCAN_WORDS);
		if (copy_from_kernel_nofault(s->buf, (void *)at, nr * sizeof(long)))
			return 0;
		ret = lp_scan_words(s, task, nr) ?: lp_scan_for_frame(s, task, nr, sp, from);
		if (ret)
			return ret;
	}
	return 0;
}

/* Does @next continue a mapping that was split by madvise(), mlock() or the like? */
static bool lp_goes_on(struct vm_area_struct *vma, const struct vm_area_struct *next)
{
	return next && next->vm_start == vma->vm_end && (next->vm_flags & VM_READ) &&
	       next->vm_file == vma->vm_file && next->vm_pgoff == vma->vm_pgoff + vma_pages(vma);
}

/* Return: the end of the mapping, or some address beyond LP_STACK_MAX. */
static unsigned long lp_mapping_end(struct mm_struct *mm, struct vm_area_struct *vma,
				    unsigned long sp)
{
	struct vm_area_struct *next = vma;

	do {
		vma = next;
		next = find_vma(mm, vma->vm_end);
	} while (vma->vm_end - sp <= LP_STACK_MAX && lp_goes_on(vma, next));
	return vma->vm_end;
}

/*
 * Finds the limits of the mapping that contains a stack. mmap_lock is held in the window, otherwise
 * it is taken here.
 */
static int lp_stack_limits(struct lp_scan *s, struct mm_struct *mm, unsigned long sp,
			   unsigned long *floor, unsigned long *end)
{
	struct vm_area_struct *vma;
	int ret = -EFAULT;

	if (!s->freeze && mmap_read_lock_killable(mm))
		return -EINTR;
	vma = find_vma(mm, sp);
	/* The VMA of a stack that grows down may not reach down to sp yet. */
	if (vma && (sp >= vma->vm_start || (vma->vm_flags & VM_GROWSDOWN))) {
		*floor = vma->vm_start;
		*end = lp_mapping_end(mm, vma, max(sp, *floor));
		ret = 0;
	}
	if (!s->freeze)
		mmap_read_unlock(mm);
	return ret;
}

/*
 * A thread's stack may share a mapping with a heap of any size, or be adjacent to one: the kernel
 * merges adjacent VMAs, and lp_mapping_end() joins them. A heap may contain words that look like
 * anything. The thread control block, whose first word is its own address according to the psABI,
 * is not part of a stack, so a stack below it ends there.
 */
static int lp_limit_stack(struct lp_scan *s, struct task_struct *task, unsigned long sp,
			  unsigned long *end)
{
	unsigned long tcb = lpatch_arch_thread_pointer(task), first;

	if (tcb > sp && tcb < *end && tcb - sp <= LP_STACK_MAX && IS_ALIGNED(tcb, sizeof(first))) {
		if (lp_read_user(s, &first, tcb, sizeof(first)))
			return lp_unreadable(s, task, tcb, tcb + sizeof(first));
		if (first == tcb)
			*end = tcb;
	}
	return *end - sp <= LP_STACK_MAX ? 0 : lp_unreadable(s, task, sp, sp);
}

/**
 * lpatch_stack_scan() - search the registers and the stack of one thread
 * @s: the search; found is set
 * @mm: on which the thread runs
 * @task: the thread
 * @preempted: it may have been preempted in the kernel
 *
 * Context: mmap_lock held in a window, not held otherwise. The caller checks whether the thread has
 * run meanwhile.
 * Return: 0, also if the thread died meanwhile; -EBUSY if it is in the way, -EFAULT if user memory
 * has to be faulted in first.
 */
int lpatch_stack_scan(struct lp_scan *s, struct mm_struct *mm, struct task_struct *task, bool preempted)
{
	struct lp_reg_arg arg = { .s = s, .task = task };
	unsigned long sp, from, floor, end;
	struct pt_regs regs;
	int ret;

	s->found = NULL;
	if (copy_from_kernel_nofault(&regs, task_pt_regs(task), sizeof(regs)))
		return 0;
	sp = user_stack_pointer(&regs);
	if (lp_on_signal_stack(task, sp))
		return lpatch_stack_busy(s, task, LP_BUSY_SIGNAL_STACK, NULL);
	ret = lpatch_arch_each_reg(&regs, lp_scan_reg, &arg) ?:
	      lpatch_probe_each_addr(task, lp_scan_probed, &arg);
	if (ret == -EFAULT)
		return lp_unreadable(s, task, sp, sp);
	if (ret)
		return ret;
	if (lp_stack_limits(s, mm, sp, &floor, &end))
		return lp_unreadable(s, task, sp, sp + 1);
	sp = ALIGN_DOWN(max(sp, floor), sizeof(long));
	ret = lp_limit_stack(s, task, sp, &end);
	if (ret)
		return ret;
	from = sp;
	if (preempted) {
		ret = lp_scan_kernel_stack(s, task, sp, &from);
		if (ret)
			return ret;
		from = ALIGN_DOWN(from, sizeof(long));
	}
	return lp_scan_user_stack(s, task, from, sp, end);
}
