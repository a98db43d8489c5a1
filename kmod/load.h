/* SPDX-License-Identifier: GPL-2.0 */
#ifndef LPATCH_LOAD_H
#define LPATCH_LOAD_H

struct lp_op;

int lp_load_find_images(struct lp_op *op);
int lp_load_map(struct lp_op *op);
int lp_load_find_gap(struct lp_op *op);
int lp_load_unmap(struct lp_op *op);

#endif
