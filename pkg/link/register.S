# SPDX-License-Identifier: GPL-2.0
# Registers the unwind tables of a patch with the C++ runtime of the program, in the ordinary context of a first call: the
# patch is not known to dl_iterate_phdr(), so without that no exception could pass through it. The assembled object,
# register.o, is part of lpctl and is linked into a patch like any other ("make generate" makes it).
#
# lpatch_state is 0 at first, 1 when the tables are registered, and meanwhile the thread pointer of the thread that
# registers them. It never becomes 0 again, for then libgcc has pointers into the patch: the kernel does not unload a patch
# of which this word is not 0.

	.set	PAUSES, 1 << 21		# of one wait for another thread: tenths of a second
	.set	STATES, 0xee		# SSE, AVX, MPX and AVX-512, as ld.so saves for _dl_runtime_resolve
	.set	LEGACY, 512		# bytes of the area of FXSAVE, which the header of XSAVE follows

# The entry of a patched function; lpatch_target stands for the new body.
	.section .text.lpatch_entry, "ax", @progbits
	.balign	16
	.globl	lpatch_entry
	.hidden	lpatch_entry
	.type	lpatch_entry, @function
lpatch_entry:
	.cfi_startproc
	endbr64
	cmpq	$1, lpatch_state(%rip)
	je	1f
	call	lpatch_register
1:	jmp	lpatch_target
	.cfi_endproc
	.size	lpatch_entry, . - lpatch_entry

# Changes no register but the flags.
	.section .text.lpatch_register, "ax", @progbits
	.balign	16
	.globl	lpatch_register
	.hidden	lpatch_register
	.type	lpatch_register, @function
lpatch_register:
	.cfi_startproc
	pushq	%rbp
	.cfi_def_cfa_offset 16
	.cfi_offset %rbp, -16
	movq	%rsp, %rbp
	.cfi_def_cfa_register %rbp
	pushq	%rax
	pushq	%rcx
	pushq	%rdx
	pushq	%rbx
	pushq	%rsi
	pushq	%rdi
	pushq	%r8
	pushq	%r9
	pushq	%r10
	pushq	%r11
	.cfi_offset %rbx, -48
	movq	%fs:0, %rcx
	xorl	%eax, %eax
	lock cmpxchgq %rcx, lpatch_state(%rip)
	je	.Lregister

# Somebody else is at it. A signal handler that interrupted its own thread there must not wait for that.
	movl	$PAUSES, %edx
.Lwait:	cmpq	$1, %rax
	je	.Lout
	cmpq	%rcx, %rax
	je	.Lout
	pause
	movq	lpatch_state(%rip), %rax
	decl	%edx
	jnz	.Lwait
# This process was forked meanwhile, and the thread is not here; libgcc may be in any state. It stays unregistered.
	movl	$1, %ecx
	lock cmpxchgq %rcx, lpatch_state(%rip)
	jmp	.Lout

.Lregister:
	movl	$1, %eax
	xorl	%ecx, %ecx
	cpuid
	xorl	%ebx, %ebx
	btl	$27, %ecx		# OSXSAVE
	jnc	.Llegacy
	movl	$0xd, %eax
	xorl	%ecx, %ecx
	cpuid				# %ebx: bytes for all states that are enabled
	subq	%rbx, %rsp
	andq	$-64, %rsp
	xorl	%eax, %eax
	movl	$LEGACY, %ecx
1:	movq	%rax, (%rsp, %rcx)
	addl	$8, %ecx
	cmpl	$LEGACY + 64, %ecx
	jne	1b
	movl	$STATES, %eax
	xorl	%edx, %edx
	xsave	(%rsp)
	jmp	.Lcall
.Llegacy:	subq	$LEGACY, %rsp
	andq	$-64, %rsp
	fxsave	(%rsp)

.Lcall:	leaq	lpatch_frames(%rip), %rdi
	leaq	lpatch_object(%rip), %rsi
	call	__register_frame_info
	testl	%ebx, %ebx
	jz	2f
	movl	$STATES, %eax
	xorl	%edx, %edx
	xrstor	(%rsp)
	jmp	3f
2:	fxrstor	(%rsp)
3:	movq	$1, lpatch_state(%rip)
	leaq	-80(%rbp), %rsp
.Lout:	popq	%r11
	popq	%r10
	popq	%r9
	popq	%r8
	popq	%rdi
	popq	%rsi
	popq	%rbx
	popq	%rdx
	popq	%rcx
	popq	%rax
	popq	%rbp
	.cfi_restore %rbx
	.cfi_restore %rbp
	.cfi_def_cfa %rsp, 8
	ret
	.cfi_endproc
	.size	lpatch_register, . - lpatch_register

# libgcc's struct object, of 6 words in GCC 12.
	.section .data.lpatch_object, "aw", @progbits
	.balign	16
	.globl	lpatch_object
	.hidden	lpatch_object
	.type	lpatch_object, @object
lpatch_object:
	.fill	128
	.size	lpatch_object, . - lpatch_object

	.section .data.lpatch_state, "aw", @progbits
	.balign	8
	.globl	lpatch_state
	.hidden	lpatch_state
	.type	lpatch_state, @object
lpatch_state:
	.quad	0
	.size	lpatch_state, 8

	.section .note.GNU-stack, "", @progbits
