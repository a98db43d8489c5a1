/* SPDX-License-Identifier: GPL-2.0 */
#ifndef LPATCH_OP_H
#define LPATCH_OP_H

#include <linux/types.h>

#include "live.h"
#include "outcome.h"
#include "request.h"

struct completion;
struct lp_patch;
struct lp_record;
struct lp_site;
struct lp_target;

/**
 * struct lp_op - one operation on one target
 * @request: what to do
 * @target: referenced, NULL if there is none; its lock is held while the operation is performed
 * @patch: referenced
 * @record: of the patch in the target, or NULL
 * @base: where the patch is mapped, or 0
 * @bases: load bias of each image
 * @live: the state of the target before the operation, if there is a record
 * @change: identifies the operation in the records that it changed; lpatch_next_id()
 * @canceled: completed when the client is killed; NULL if a thread of the target performs the
 *	operation
 * @outcome: the result
 */
struct lp_op {
	const struct lp_request *request;
	struct lp_target *target;
	struct lp_patch *patch;
	struct lp_record *record;
	unsigned long base;
	unsigned long bases[LPATCH_IMAGES_MAX];
	struct lp_live live;
	u64 change;
	struct completion *canceled;
	struct lp_outcome outcome;
};

struct lp_op *lpatch_op_alloc(const struct lp_request *request, struct lp_patch *patch);
void lpatch_op_free(struct lp_op *op);
/* Return: the address of the first byte of a site in the target. */
unsigned long lpatch_op_site_addr(const struct lp_op *op, const struct lp_site *site);
bool lpatch_op_is_canceled(const struct lp_op *op);
bool lpatch_op_pause(const struct lp_op *op, unsigned long time);
bool lpatch_op_wait_begin(const struct lp_op *op);
void lpatch_op_wait_end(const struct lp_op *op);
int lpatch_op_lock_memory(const struct lp_op *op, struct lp_outcome *out);

#endif
