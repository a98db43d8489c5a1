/* SPDX-License-Identifier: GPL-2.0 */
#ifndef LPATCH_VERB_H
#define LPATCH_VERB_H

struct lp_op;

void lpatch_op_do(struct lp_op *op);

#endif
