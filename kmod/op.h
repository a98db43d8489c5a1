/* SPDX-License-Identifier: GPL-2.0 */
#ifndef LPATCH_OP_H
#define LPATCH_OP_H

#include <linux/completion.h>
#include <net/netlink.h>

#include "freeze.h"
#include "live.h"
#include "site.h"
#include "stack.h"
#include "uapi/lpatch.h"

struct lp_boot;
struct lp_patch;
struct lp_record;
struct lp_site;
struct lp_span;
struct lp_target;

enum lp_verb {
	LP_LOAD,
	LP_APPLY,
	LP_RESTORE,
	LP_UNLOAD,
	LP_RECOUNT,
};

/**
 * struct lp_run - an operation that a kthread does, while the client's thread waits
 * @op: the operation
 * @canceled: completed when the client is being killed
 * @done: completed when there is an outcome
 */
struct lp_run {
	struct lp_op *op;
	struct completion canceled;
	struct completion done;
};

/**
 * struct lp_op - one operation on one target, and its outcome
 * @verb: what to do
 * @flags: enum lpatch_op_flags
 * @max_stop: ns, of one window
 * @timeout: ns, how long to try again
 * @allowed: the attributes of the request, in which lp_op_allows() looks
 * @allowed_len: bytes of them
 * @boot: the entry for which it is done to a process that starts, or NULL
 * @fresh: images of which no code can have run in the target, a bit for each
 * @pid: as the client named the target
 * @patch: referenced
 * @target: referenced; its lock is held by who does the operation
 * @run: of a client's operation; NULL if a thread of the target does it
 * @bases: of the images, what has to be added to a link-time address
 * @places: what is overwritten, by address
 * @nr_places: how many there are
 * @missing: the one that was not in memory, or NULL
 * @fault: 0, or the negative errno for which they could not be faulted in
 * @spans: addresses of code that goes out of use, for @scan
 * @scan: the search for them
 * @freeze: the threads, and the window
 * @record: of the patch in the target, or NULL
 * @live: what was found in the target before the operation, if there is a record
 * @threads: that were stopped
 * @attempts: stop windows that were opened
 * @since: CLOCK_REALTIME ns of the change of state
 * @change: names it in the records that it changed; lp_next_id()
 * @replaced: copies of the records of patches that it replaced, each with a reference on the patch
 * @nr_replaced: how many there are
 * @lock_ns: how long mmap_lock was held around the last window
 * @state: of the patch in the target, enum lpatch_state
 * @base: where the patch is mapped, or 0
 * @active: threads that are still in code from before; of a dry run, that would be
 * @refusal: why not, enum lpatch_refusal
 * @tid: the thread that was in the way, or 0
 * @function: the function that was
 * @message: the sentence for people
 */
struct lp_op {
	enum lp_verb verb;
	u32 flags;
	struct lp_boot *boot;
	u32 fresh;
	u64 max_stop;
	u64 timeout;
	const struct nlattr *allowed;
	int allowed_len;
	u32 pid;
	struct lp_patch *patch;
	struct lp_target *target;
	struct lp_run *run;

	unsigned long bases[LPATCH_IMAGES_MAX];
	struct lp_place *places;
	u32 nr_places;
	const struct lp_place *missing;
	int fault;
	struct lp_span *spans;
	struct lp_scan scan;
	struct lp_freeze freeze;
	struct lp_record *record;
	struct lp_live live;

	u32 threads;
	u32 attempts;
	u64 since;
	u64 change;
	struct lp_record **replaced;
	u32 nr_replaced;
	u64 lock_ns;
	u32 state;
	unsigned long base;
	struct lp_active active;
	u32 refusal;
	pid_t tid;
	char function[LPATCH_NAME_MAX + 1];
	char message[LPATCH_MESSAGE_MAX + 1];
};

/* Where the first byte of a site is in the target. */
unsigned long lp_op_site_addr(const struct lp_op *op, const struct lp_site *site);
/* May the old body of a function be in use when it is replaced? */
bool lp_op_allows(const struct lp_op *op, const char *symbol);
struct lp_op *lp_op_alloc(enum lp_verb verb);
void lp_op_free(struct lp_op *op);
void lp_op_note(struct lp_op *op);
void lp_op_do(struct lp_op *op);
int lp_op_run(struct lp_op *op);
void lp_op_run_here(struct lp_op *op);
bool lp_op_is_canceled(const struct lp_op *op);
bool lp_op_pause(struct lp_op *op, unsigned long time);
bool lp_op_wait_begin(struct lp_op *op);
void lp_op_wait_end(struct lp_op *op);
int lp_op_lock_memory(struct lp_op *op);
const char *lp_op_verb(const struct lp_op *op);
__printf(3, 4) int lp_op_refuse(struct lp_op *op, u32 refusal, const char *fmt, ...);
int lp_refuse_canceled(struct lp_op *op);
int lp_refusal_errno(u32 refusal);

#endif
