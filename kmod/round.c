// SPDX-License-Identifier: GPL-2.0
/*
 * IPI rounds to the CPUs that may execute a target. They take most of the time of a short stop
 * window.
 */

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
 * mm_cpumask() contains every CPU that may be executing user code of the mm: switch_mm_irqs_off()
 * sets the bit, with a full barrier, before the CPU returns to user mode. A CPU that sets its bit
 * after the mask was read here has switched to a thread whose gate is queued, and runs the gate.
 * The mask also contains this CPU, since current uses the mm: it wrote the bytes and has to refetch
 * them, too.
 */
static void lp_round(const struct mm_struct *mm, smp_call_func_t fn)
{
	smp_mb(); /* orders queueing the gates, or writing the bytes, before reading the mask */
	on_each_cpu_mask(mm_cpumask((struct mm_struct *)mm), fn, NULL, true);
}

/*
 * Makes each thread that is in user mode enter the kernel, where it has to pass its gate; all gates
 * are queued already. Waiting for idle CPUs in the mask is unnecessary, but no interface that a
 * module may use reports them with the required barrier.
 */
void lpatch_round_stop(const struct mm_struct *mm)
{
	lp_round(mm, lp_ipi_nothing);
}

/*
 * Makes each CPU, idle ones included, refetch the bytes that were written. It is not enough that
 * each gate serializes: its thread may migrate to another CPU before its first user instruction,
 * and switching there from a kernel thread or from another thread of the target does not serialize.
 * The kernel's membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE) handles the same case in
 * membarrier_mm_sync_core_before_usermode(), but only for processes that registered.
 */
void lpatch_round_sync(const struct mm_struct *mm)
{
	lp_round(mm, lp_ipi_sync);
}
