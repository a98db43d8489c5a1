/* SPDX-License-Identifier: GPL-2.0 */
#ifndef LPATCH_OVERWRITE_H
#define LPATCH_OVERWRITE_H

struct lp_op;

int lpatch_overwrite(struct lp_op *op);
int lpatch_quiesce(struct lp_op *op);
int lpatch_recount(struct lp_op *op);

#endif
