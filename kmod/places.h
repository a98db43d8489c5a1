/* SPDX-License-Identifier: GPL-2.0 */
#ifndef LPATCH_PLACES_H
#define LPATCH_PLACES_H

#include <linux/types.h>

struct lp_op;
struct lp_record;

bool lp_places_involve(const struct lp_op *op, const struct lp_record *record);
int lp_places_alloc(struct lp_op *op);
int lp_places_fill(struct lp_op *op);
void lp_places_note(struct lp_op *op);
int lp_places_verify(struct lp_op *op);
void lp_places_fault_in(struct lp_op *op, bool write);
int lp_places_check(struct lp_op *op, bool in_window);
int lp_places_pin(struct lp_op *op);
void lp_places_unpin(struct lp_op *op);
int lp_places_refuse_missing(struct lp_op *op);
void lp_places_write(struct lp_op *op);

#endif
