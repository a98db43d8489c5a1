/* SPDX-License-Identifier: GPL-2.0 */
#ifndef LPATCH_RUN_H
#define LPATCH_RUN_H

struct lp_op;

int lpatch_op_run(struct lp_op *op);
void lpatch_op_run_here(struct lp_op *op);

#endif
