// SPDX-License-Identifier: GPL-2.0
/* x86-64. */

#include <linux/preempt.h>
#include <linux/ptrace.h>
#include <linux/sched.h>
#include <linux/stringify.h>
#include <linux/sync_core.h>

#include <asm/ibt.h>
#include <asm/linkage.h>
#include <asm/nospec-branch.h>
#include <asm/syscall.h>
#include <asm/unistd.h>

#include "arch.h"
#include "compat.h"

/*
 * Makes this CPU refetch the instructions that it is about to execute: Intel SDM vol. 3, "Handling
 * Self- and Cross-Modifying Code".
 */
void lpatch_arch_sync_core(void)
{
	sync_core();
}

/**
 * lpatch_arch_make_jump() - encode "jmp rel32"
 * @insn: LP_JUMP_LEN bytes
 * @from: address of the instruction
 * @to: where it jumps to
 *
 * Return: false if @to is out of reach.
 */
bool lpatch_arch_make_jump(u8 *insn, u64 from, u64 to)
{
	s64 rel = to - (from + LP_JUMP_LEN);

	if (rel != (s32)rel)
		return false;
	insn[0] = 0xe9;
	put_unaligned_le32(rel, insn + 1);
	return true;
}

/*
 * Length of syscall, sysenter and int $0x80: arch_do_signal_or_restart() rewinds ip by this much.
 */
#define LP_SYSCALL_LEN 2

/*
 * Length of int3: handle_swbp() in kernel/events/uprobes.c rewinds ip by this much once it has
 * found the uprobe, or found that it was removed. Until then ip may point past the last instruction
 * of a function that has not returned yet.
 */
#define LP_BREAKPOINT_LEN 1

int lpatch_arch_each_reg(const struct pt_regs *regs, int (*fn)(unsigned long value, bool ip, void *arg),
			 void *arg)
{
	const unsigned long others[] = {
		regs->ax,  regs->bx,  regs->cx,	 regs->dx,  regs->si,
		regs->di,  regs->bp,  regs->r8,	 regs->r9,  regs->r10,
		regs->r11, regs->r12, regs->r13, regs->r14, regs->r15,
	};
	unsigned int i;
	int ret;

	ret = fn(regs->ip, true, arg);
	if (!ret) /* a system call, which may be restarted, or an exception */
		ret = fn(regs->ip - ((int)regs->orig_ax != -1 ? LP_SYSCALL_LEN : LP_BREAKPOINT_LEN), true, arg);
	for (i = 0; !ret && i < ARRAY_SIZE(others); i++)
		ret = fn(others[i], false, arg);
	return ret;
}

unsigned long lpatch_arch_kernel_sp(const struct task_struct *task)
{
	return READ_ONCE(task->thread.sp);
}

unsigned long lpatch_arch_thread_pointer(const struct task_struct *task)
{
	return READ_ONCE(task->thread.fsbase);
}

/*
 * A program that the kernel executes by itself, such as a usermode helper, makes no system call and
 * has no user registers yet. Every 32-bit system call counts as one that maps files. That does not
 * matter, since patched images are 64-bit.
 */
bool lpatch_arch_in_mapping_call(void)
{
	if (!user_mode(current_pt_regs()) || in_ia32_syscall())
		return true;
	switch (syscall_get_nr(current, current_pt_regs())) {
	case __NR_mmap:
	case __NR_execve:
	case __NR_execveat:
		return true;
	default:
		return false;
	}
}

/*
 * The arguments of the traced function are in rdi and rsi. All other caller-saved registers may be
 * clobbered: where gcc emits calls to the profiler, it does not assume that a callee preserves any
 * (no -fipa-ra). Modelled on samples/ftrace/ftrace-direct.c.
 */
#define LP_TRAMPOLINE(name, function)			\
	asm("	.pushsection .text, \"ax\", @progbits\n"	\
	    "	.type	" #name ", @function\n"		\
	    "	.globl	" #name "\n"			\
	    #name ":\n"					\
	    ASM_ENDBR					\
	    "	pushq	%rbp\n"				\
	    "	movq	%rsp, %rbp\n"			\
	    LP_CALL_DEPTH_ACCOUNT			\
	    "	pushq	%rdi\n"				\
	    "	pushq	%rsi\n"				\
	    "	call	" #function "\n"			\
	    "	popq	%rsi\n"				\
	    "	popq	%rdi\n"				\
	    "	leave\n"				\
	    ASM_RET					\
	    "	.size	" #name ", .-" #name "\n"	\
	    "	.popsection\n")

LP_TRAMPOLINE(lpatch_arch_hook_mmap, lpatch_hook_mmap);
LP_TRAMPOLINE(lpatch_arch_hook_copy, lpatch_hook_copy);
LP_TRAMPOLINE(lpatch_arch_hook_end, lpatch_hook_end);
