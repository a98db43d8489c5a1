// SPDX-License-Identifier: GPL-2.0
/* IPI rounds to the CPUs that may execute a target. Most of a short stop window is these two. */

#include <linux/mm_types.h>
#include <linux/smp.h>

#include "arch.h"
#include "round.h"

static void lp_ipi_nothing(void *unused)
{
}

static void lp_ipi_sync(void *unused)
{
	lpatch_arch_sync_core();
}

/*
 * mm_cpumask() has every CPU that may be executing user code of the mm: switch_mm_irqs_off() sets
 * the bit, with a full barrier, before the CPU returns to user mode. A CPU that sets it after this
 * read switched to a thread whose gate is queued, and meets it. This CPU, on which the mm is in use
 * by this thread, is among them: what wrote the bytes has to refetch them, too.
 */
static void lp_round(const struct mm_struct *mm, smp_call_func_t fn)
{
	smp_mb(); /* the gates were queued, or the bytes written, before this reads the mask */
	on_each_cpu_mask(mm_cpumask((struct mm_struct *)mm), fn, NULL, true);
}

/*
 * Takes each thread that is in user mode into the kernel, where its gate is in front of it. Each
 * gate has been queued before. The CPUs that are idle in the mask need not be waited for, but
 * nothing that a module may ask tells of them with the barrier that would be needed.
 */
void lpatch_round_stop(const struct mm_struct *mm)
{
	lp_round(mm, lp_ipi_nothing);
}

/*
 * Has each CPU refetch what was written, idle ones too. That each gate serializes is not enough:
 * its thread may move to another CPU between that and its first user instruction, and there, coming
 * from a kernel thread or from another thread of the target, nothing serializes. The kernel's own
 * membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE) has the same case in
 * membarrier_mm_sync_core_before_usermode(), which works only for who registered.
 */
void lpatch_round_sync(const struct mm_struct *mm)
{
	lp_round(mm, lp_ipi_sync);
}
