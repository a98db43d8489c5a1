// SPDX-License-Identifier: GPL-2.0
/*
 * Does a thread refer into code that goes out of use? Conservative: every user register, and
 * every aligned word from the stack pointer to the end of the stack's mapping, signal frames
 * included.
 *
 * If it was preempted in the kernel, it may be in the middle of building or leaving a signal frame,
 * with an instruction pointer that is only in a kernel variable. So its kernel stack is searched
 * too, which holds all its saved kernel registers, and a word there that points little below the
 * user stack pointer, where a frame would be, moves the start of the search down (setup_rt_frame()
 * sets ip before sp). A thread that sleeps is at no such place: neither sets registers with a sleep
 * in between. What a thread that is off the CPU does in the kernel later only moves values that this
 * search has seen.
 *
 * uprobes hide addresses from this search: what kmod/probe.c finds is searched as well.
 *
 * When a thread can be searched threads.c knows.
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
 * Of a mapping that goes on for longer only the stack is searched, if its end is known, else its
 * thread is in the way.
 */
#define LP_STACK_MAX (64UL << 20)

#define LP_SCAN_WORDS (LP_SCAN_BUF / sizeof(unsigned long))

/* Notes that a thread is in the way, and how; @span may be NULL. Return: -EBUSY. */
int lpatch_stack_busy(struct lp_scan *s, struct task_struct *task, enum lp_busy_how how,
		      const struct lp_span *span)
{
	s->how = how;
	s->tid = task_pid_nr(task);
	/* Its lock is not for the window; a name that is just changing is a mixture of both. */
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
 * The one of sorted and disjoint spans that @value is in, or NULL. Most words are outside of all, and two
 * comparisons tell.
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

/* From the first of the spans to the end of the last: how long. @lo gets where that begins. */
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

		/* Almost every word; the window is long enough for a call for each to count. */
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
 * Can this be an alternate stack that @sp is on? Three words of a stack mean many things, most of
 * which would be stacks of no usual size: of those only what mmap() gave is taken for one.
 */
static bool lp_is_stack_of(unsigned long start, unsigned long size, unsigned long sp)
{
	return sp - start <= size &&
	       (size <= LP_STACK_MAX || (start && PAGE_ALIGNED(start | size)));
}

/*
 * With SS_AUTODISARM the kernel forgets the alternate stack for as long as a handler is on it. The
 * signal frame remembers: its uc_stack is three words, start, flags and size. Frames of other
 * stacks in the same mapping say nothing about this thread.
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
 * Searches [@at, @end), of which [@sp, @end) is the stack and what is below may be a frame in the
 * making: pages that are not there have no part of one.
 */
static int lp_scan_user_stack(struct lp_scan *s, struct task_struct *task, unsigned long at,
			      unsigned long sp, unsigned long end)
{
	unsigned int len;
	int ret;

	memset(s->before, 0, sizeof(s->before));
	for (; at < end; at += len) {
		/* A deep stack must not hold the others longer than allowed, nor the client. */
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
 * The words of the kernel stack that are in @s->buf: is a signal frame in the making? On this stack
 * it lowers *@at to where it begins.
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
 * Also lowers *@from to the lowest address of a signal frame in the making, if the kernel stack
 * mentions one. The task may run, and exit, while this reads: hence the nofault, and the caller
 * asks afterwards whether it did.
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

/* Is @next the continuation of a mapping that madvise(), mlock() or others divided? */
static bool lp_goes_on(struct vm_area_struct *vma, const struct vm_area_struct *next)
{
	return next && next->vm_start == vma->vm_end && (next->vm_flags & VM_READ) &&
	       next->vm_file == vma->vm_file && next->vm_pgoff == vma->vm_pgoff + vma_pages(vma);
}

/* The end of the mapping, or some place beyond LP_STACK_MAX. */
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
 * Finds the limits of the mapping that a stack lies in. mmap_lock: held in the window, else taken
 * here.
 */
static int lp_stack_limits(struct lp_scan *s, struct mm_struct *mm, unsigned long sp,
			   unsigned long *floor, unsigned long *end)
{
	struct vm_area_struct *vma;
	int ret = -EFAULT;

	if (!s->freeze && mmap_read_lock_killable(mm))
		return -EINTR;
	vma = find_vma(mm, sp);
	/* A stack that grows down may not have its lowest page yet. */
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
 * A thread's stack may lie in one mapping with a heap of any size, or next to one: the kernel joins
 * neighbours, and lp_mapping_end() does. What a heap holds looks like anything. The thread control
 * block, of which the psABI says that its first word is its own address, is no part of a stack, so
 * that a stack below it ends there.
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
 * @s: what to search for; gets found
 * @mm: that the thread runs on
 * @task: the thread
 * @preempted: it may be in the middle of something in the kernel
 *
 * Context: mmap_lock held if it is in a window, else none; whether the thread has run meanwhile the caller
 * finds out.
 * Return: 0, also for a thread that died meanwhile; -EBUSY if it is in the way, -EFAULT if user memory has
 * to be faulted in first.
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
