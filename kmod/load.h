/* SPDX-License-Identifier: GPL-2.0 */
#ifndef LPATCH_LOAD_H
#define LPATCH_LOAD_H

#include <linux/types.h>

struct lp_op;
struct lp_patch;
struct lp_segment;
struct mm_struct;

int lpatch_load_find_images(struct lp_op *op);
int lpatch_load_locate(struct lp_op *op);
int lpatch_load_map(struct lp_op *op);
int lpatch_load_complete(struct lp_op *op);
bool lpatch_load_is_mapped(struct mm_struct *mm, const struct lp_patch *patch, unsigned long base,
			   const struct lp_segment *segment);
int lpatch_load_unmap(struct lp_op *op);

#endif
