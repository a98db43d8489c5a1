/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Differences between kernel versions and configurations. No other file tests LINUX_VERSION_CODE.
 */
#ifndef LPATCH_COMPAT_H
#define LPATCH_COMPAT_H

#include <linux/ftrace.h>
#include <linux/mm.h>
#include <linux/task_work.h>
#include <linux/version.h>
#include <net/genetlink.h>

#include "version.h"

/*
 * Mainline does not export task_work_add(), some distributions do: in a module, compat.c finds it.
 * lpatch_task_work_source says how, for info-get.
 */
#ifdef MODULE
int lpatch_compat_init(void);
extern const char *lpatch_task_work_source;
extern int (*lpatch_task_work_add)(struct task_struct *task, struct callback_head *work,
				   enum task_work_notify_mode mode);
#else
#define lpatch_task_work_source	"built-in"
#define lpatch_task_work_add	task_work_add

static inline int lpatch_compat_init(void)
{
	return 0;
}
#endif

/*
 * With KASAN, task_work_add() records its caller and may allocate memory for that, which is not
 * allowed under a raw spinlock. Commit 73ab05aa46b0 ("sched/core: Disable page allocation in
 * task_tick_mm_cid()"), 6.12, added a flag that prevents the allocation. Commit d40797d6720e
 * ("kasan: make kasan_record_aux_stack_noalloc() the default behaviour"), 6.14, removed the flag,
 * since KASAN never allocates any more.
 */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 12, 0) && LINUX_VERSION_CODE < KERNEL_VERSION(6, 14, 0)
#define LP_TWA_NO_ALLOC	TWAF_NO_ALLOC
#else
#define LP_TWA_NO_ALLOC	0
#endif

/*
 * Commit 54d020692b34 ("mm/gup: remove unused vmas parameter from get_user_pages()" and its
 * series), 6.5.
 */
static inline long lp_pin_user_pages(struct mm_struct *mm, unsigned long start, unsigned long nr,
				     unsigned int flags, struct page **pages)
{
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 5, 0)
	return pin_user_pages_remote(mm, start, nr, flags, pages, NULL, NULL);
#else
	return pin_user_pages_remote(mm, start, nr, flags, pages, NULL);
#endif
}

/* The same series. */
static inline long lp_get_user_pages(struct mm_struct *mm, unsigned long start, unsigned long nr,
				     unsigned int flags, struct page **pages, int *locked)
{
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 5, 0)
	return get_user_pages_remote(mm, start, nr, flags, pages, NULL, locked);
#else
	return get_user_pages_remote(mm, start, nr, flags, pages, locked);
#endif
}

/*
 * Commit cd4d7263d58a ("genetlink: Use internal flags for multicast groups"), 6.8, backported to
 * 6.1 and 6.6. Older kernels let every user listen, or restrict it in another way.
 */
#ifndef GENL_MCAST_CAP_SYS_ADMIN
#error "lpatch: users could listen to events (no GENL_MCAST_CAP_SYS_ADMIN): take 6.8, or the newest 6.1 or 6.6"
#endif

/* Commit 20b0b53acab4 ("genetlink: introduce split op representation"), 6.2. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 2, 0)
#define lp_genl_doit_ops genl_ops
#else
#define lp_genl_doit_ops genl_split_ops
#endif

/*
 * Commit da8bdfbd4223 ("ftrace: Rename _ftrace_direct_multi APIs to _ftrace_direct APIs") and its
 * series, 6.4.
 */
static inline int lp_ftrace_register(struct ftrace_ops *ops, unsigned long trampoline)
{
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 4, 0)
	return register_ftrace_direct_multi(ops, trampoline);
#else
	return register_ftrace_direct(ops, trampoline);
#endif
}

/* After it returns, a task can only be in the trampoline if it sleeps there. */
static inline void lp_ftrace_unregister(struct ftrace_ops *ops, unsigned long trampoline)
{
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 4, 0)
	unregister_ftrace_direct_multi(ops, trampoline);
	ftrace_free_filter(ops);
#else
	unregister_ftrace_direct(ops, trampoline, true);
#endif
}

/* Since 6.2: call depth tracking, on CPUs that need it. */
#ifdef CALL_DEPTH_ACCOUNT
#define LP_CALL_DEPTH_ACCOUNT	CALL_DEPTH_ACCOUNT
#else
#define LP_CALL_DEPTH_ACCOUNT	""
#endif

/*
 * Since 6.18: type of the clone flags in the tracepoint task_newtask. kCFI requires that a probe
 * has exactly the tracepoint's prototype.
 */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 18, 0)
#define lp_clone_flags_t unsigned long
#else
#define lp_clone_flags_t u64
#endif

/* Commit 590d356aa433 ("mm: update shmem_[kernel]_file_*() functions to use vma_flags_t"), 7.0. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(7, 0, 0)
#define LP_SHMEM_NORESERVE	VM_NORESERVE
#else
#define LP_SHMEM_NORESERVE	mk_vma_flags(VMA_NORESERVE_BIT)
#endif

/* Commit acd87264af52 ("module: Give 'enum pkey_id_type' a more specific name"), 7.1. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(7, 1, 0)
#define LP_SIGNATURE_PKCS7	PKEY_ID_PKCS7
#else
#define LP_SIGNATURE_PKCS7	MODULE_SIGNATURE_TYPE_PKCS7
#endif

/* Commit 5f60d5f6bbc1 ("move asm/unaligned.h to linux/unaligned.h"), 6.12. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 12, 0)
#include <asm/unaligned.h>
#else
#include <linux/unaligned.h>
#endif

/* Commit 54e6842d0775 ("fork/vm: Move common PF_IO_WORKER behavior to new flag"), 6.4. */
#ifndef PF_USER_WORKER
#define PF_USER_WORKER 0
#endif

#endif
