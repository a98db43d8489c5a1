/* SPDX-License-Identifier: GPL-2.0 */
#ifndef LPATCH_OUTCOME_H
#define LPATCH_OUTCOME_H

#include <linux/compiler.h>
#include <linux/types.h>

#include "uapi/lpatch.h"

struct lp_record;

/**
 * struct lp_times - durations of the parts of a stop window, in ns
 * @gate: queueing the gates
 * @barrier: the IPI round
 * @check: searching stacks and comparing bytes
 * @write: writing the sites
 * @release: until the last thread was released
 * @stop: from queueing the first gate to releasing the last thread
 * @longest_thread: the longest time that one thread was held
 */
struct lp_times {
	u64 gate;
	u64 barrier;
	u64 check;
	u64 write;
	u64 release;
	u64 stop;
	u64 longest_thread;
};

/**
 * struct lp_active - threads that may finish in code that went out of use
 * @threads: number of threads; may be too high, never too low, see lp_scan.spans
 * @tid: the first one that was found, or 0 if that is not known
 * @is_patch: it is in the code of a patch
 * @name: of that patch, or of the old function that it is in
 */
struct lp_active {
	u32 threads;
	pid_t tid;
	bool is_patch;
	char name[LPATCH_NAME_MAX + 1];
};

/**
 * struct lp_outcome - the result of an operation
 * @refusal: reason of a refusal, enum lpatch_refusal
 * @tid: the thread that was in the way, or 0
 * @function: the function that was in the way
 * @message: the reason as a sentence
 * @state: of the patch in the target, enum lpatch_state
 * @active: threads that are still in code that went out of use; for a dry run, that would be
 * @threads: number of threads that were stopped
 * @attempts: number of stop windows that were opened
 * @times: of the last window
 * @lock_ns: how long mmap_lock was held around it
 * @replaced: copies of the records of patches that it replaced, each with a reference on the patch
 * @nr_replaced: number of entries in @replaced
 */
struct lp_outcome {
	u32 refusal;
	pid_t tid;
	char function[LPATCH_NAME_MAX + 1];
	char message[LPATCH_MESSAGE_MAX + 1];
	u32 state;
	struct lp_active active;
	u32 threads;
	u32 attempts;
	struct lp_times times;
	u64 lock_ns;
	struct lp_record **replaced;
	u32 nr_replaced;
};

__printf(3, 4) int lpatch_refuse(struct lp_outcome *out, u32 refusal, const char *fmt, ...);
int lpatch_refuse_canceled(struct lp_outcome *out);
void lpatch_refusal_clear(struct lp_outcome *out);
int lpatch_refusal_errno(u32 refusal);

#endif
