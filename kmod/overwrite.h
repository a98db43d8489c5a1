/* SPDX-License-Identifier: GPL-2.0 */
#ifndef LPATCH_OVERWRITE_H
#define LPATCH_OVERWRITE_H

struct lp_op;

int lp_overwrite(struct lp_op *op);
int lp_quiesce(struct lp_op *op);
int lp_recount(struct lp_op *op);

#endif
