/* SPDX-License-Identifier: GPL-2.0 */
#ifndef LPATCH_OUTCOME_H
#define LPATCH_OUTCOME_H

#include <linux/compiler.h>
#include <linux/types.h>

#include "uapi/lpatch.h"

struct lp_record;

/**
 * struct lp_times - how long the parts of a stop window took, in ns
 * @gate: queueing the gates
 * @barrier: the IPI round
 * @check: searching stacks and comparing bytes
 * @write: writing the sites
 * @release: until the last thread was released
 * @stop: from the first gate queued to the last thread released
 * @longest_thread: the longest that one thread was held
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
 * struct lp_active - the threads that were let finish in code from before
 * @threads: how many: too many rather than too few, see lp_scan.spans
 * @tid: the first that was found, or 0 if that is not known
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
 * struct lp_outcome - what became of an operation
 * @refusal: why not, enum lpatch_refusal
 * @tid: the thread that was in the way, or 0
 * @function: the function that was
 * @message: the sentence for people
 * @state: of the patch in the target, enum lpatch_state
 * @active: threads that are still in code from before; of a dry run, that would be
 * @threads: that were stopped
 * @attempts: stop windows that were opened
 * @times: of the last window
 * @lock_ns: how long mmap_lock was held around it
 * @replaced: copies of the records of patches that it replaced, each with a reference on the patch
 * @nr_replaced: how many there are
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
