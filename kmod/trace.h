/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Tracepoints lpatch:*, one at the end of each part of a stop window, and one for each process
 * start that a boot entry handled. Documentation/performance.md tells how to use them.
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM lpatch

#if !defined(LPATCH_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define LPATCH_TRACE_H

#include <linux/tracepoint.h>

#include "freeze.h"
#include "outcome.h"

DECLARE_EVENT_CLASS(lpatch_part,
	TP_PROTO(const struct lp_freeze *f, u64 ns),
	TP_ARGS(f, ns),
	TP_STRUCT__entry(
		__field(pid_t, pid)
		__field(unsigned int, threads)
		__field(u64, ns)
	),
	TP_fast_assign(
		__entry->pid = f->pid;
		__entry->threads = lpatch_freeze_nr(f);
		__entry->ns = ns;
	),
	TP_printk("pid=%d threads=%u ns=%llu", __entry->pid, __entry->threads, __entry->ns)
);

/* Every thread has its gate in front of it. */
DEFINE_EVENT(lpatch_part, gate,
	TP_PROTO(const struct lp_freeze *f, u64 ns),
	TP_ARGS(f, ns)
);

/* The IPI round is over: no thread executes user instructions. */
DEFINE_EVENT(lpatch_part, barrier,
	TP_PROTO(const struct lp_freeze *f, u64 ns),
	TP_ARGS(f, ns)
);

/*
 * Stacks were searched and bytes compared; error is 0, or the reason why nothing will be written.
 * The name must not be "check": since commit e30f8e61e251 ("tracing: Add a tracepoint verification
 * check at build time"), 6.19, there is a section __tracepoint_check, and the assembler takes the
 * tracepoint's symbol of that name for the section. Loading such a module crashes.
 */
TRACE_EVENT(checks,
	TP_PROTO(const struct lp_freeze *f, int error),
	TP_ARGS(f, error),
	TP_STRUCT__entry(
		__field(pid_t, pid)
		__field(unsigned int, threads)
		__field(u64, ns)
		__field(int, error)
	),
	TP_fast_assign(
		__entry->pid = f->pid;
		__entry->threads = lpatch_freeze_nr(f);
		__entry->ns = f->times.check;
		__entry->error = error;
	),
	TP_printk("pid=%d threads=%u ns=%llu error=%d", __entry->pid, __entry->threads, __entry->ns,
		  __entry->error)
);

/* All places have their new bytes. */
TRACE_EVENT(write,
	TP_PROTO(const struct lp_freeze *f, u32 places),
	TP_ARGS(f, places),
	TP_STRUCT__entry(
		__field(pid_t, pid)
		__field(u32, places)
		__field(u64, ns)
	),
	TP_fast_assign(
		__entry->pid = f->pid;
		__entry->places = places;
		__entry->ns = f->times.write;
	),
	TP_printk("pid=%d places=%u ns=%llu", __entry->pid, __entry->places, __entry->ns)
);

/* Every thread was released: the window is closed. */
TRACE_EVENT(release,
	TP_PROTO(const struct lp_freeze *f),
	TP_ARGS(f),
	TP_STRUCT__entry(
		__field(pid_t, pid)
		__field(unsigned int, threads)
		__field(u64, ns)
		__field(u64, stop_ns)
		__field(u64, longest_ns)
	),
	TP_fast_assign(
		__entry->pid = f->pid;
		__entry->threads = lpatch_freeze_nr(f);
		__entry->ns = f->times.release;
		__entry->stop_ns = f->times.stop;
		__entry->longest_ns = f->times.longest_thread;
	),
	TP_printk("pid=%d threads=%u ns=%llu stop_ns=%llu longest_ns=%llu", __entry->pid,
		  __entry->threads, __entry->ns, __entry->stop_ns, __entry->longest_ns)
);

/* A process starts with all images of a boot entry; refusal is 0 if it was patched. */
TRACE_EVENT(boot,
	TP_PROTO(u32 pid, const char *patch, const struct lp_outcome *out),
	TP_ARGS(pid, patch, out),
	TP_STRUCT__entry(
		__field(pid_t, pid)
		__array(char, patch, LPATCH_NAME_MAX + 1)
		__field(u32, refusal)
		__field(u64, stop_ns)
	),
	TP_fast_assign(
		__entry->pid = pid;
		strscpy(__entry->patch, patch, sizeof(__entry->patch));
		__entry->refusal = out->refusal;
		__entry->stop_ns = out->times.stop;
	),
	TP_printk("pid=%d patch=%s refusal=%u stop_ns=%llu", __entry->pid, __entry->patch,
		  __entry->refusal, __entry->stop_ns)
);

#endif

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
