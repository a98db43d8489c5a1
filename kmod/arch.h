/* SPDX-License-Identifier: GPL-2.0 */
/* Architecture-specific functions, implemented in arch_ARCH.c. */
#ifndef LPATCH_ARCH_H
#define LPATCH_ARCH_H

#include <linux/types.h>

struct mm_struct;
struct pt_regs;
struct task_struct;
struct vm_area_struct;

#define LP_JUMP_LEN 5

void lpatch_arch_sync_core(void);
bool lpatch_arch_make_jump(u8 *insn, u64 from, u64 to);

/*
 * Calls @fn for each user register that may hold a code address, and for the instruction pointer as
 * a restarted system call or a breakpoint would rewind it. Stops at the first nonzero return value
 * of @fn and returns it.
 */
int lpatch_arch_each_reg(const struct pt_regs *regs, int (*fn)(unsigned long value, bool ip, void *arg),
			 void *arg);

/* The saved kernel stack pointer of a task that is not on a CPU. */
unsigned long lpatch_arch_kernel_sp(const struct task_struct *task);

/*
 * The address of the thread control block of a task that is not executing user code, or 0. If the
 * program moved the block with WRFSBASE and the task has not left the CPU since, this is the old
 * address.
 */
unsigned long lpatch_arch_thread_pointer(const struct task_struct *task);

/* Is current in a system call that maps files: mmap() or execve()? */
bool lpatch_arch_in_mapping_call(void);

/*
 * Trampolines that ftrace calls at the first instruction of a kernel function (see hooks.c), and
 * the handlers to which they pass the arguments of that function unchanged.
 */
void lpatch_arch_hook_mmap(void);
void lpatch_arch_hook_copy(void);
void lpatch_arch_hook_end(void);
void lpatch_hook_mmap(struct vm_area_struct *vma);
void lpatch_hook_copy(struct mm_struct *old, struct mm_struct *new);
void lpatch_hook_end(struct mm_struct *mm);

#endif
