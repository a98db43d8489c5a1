/* SPDX-License-Identifier: GPL-2.0 */
#ifndef LPATCH_PLACES_H
#define LPATCH_PLACES_H

#include <linux/types.h>

#include "site.h"

struct lp_op;
struct lp_outcome;
struct lp_record;
struct mm_struct;

/**
 * struct lp_places - the places that an operation overwrites
 * @table: sorted by address
 * @nr: number of entries
 * @missing: the place that was not in memory, or NULL
 * @fault: 0, or the negative errno of the attempt to fault them in
 */
struct lp_places {
	struct lp_place *table;
	u32 nr;
	const struct lp_place *missing;
	int fault;
};

bool lpatch_places_replace(const struct lp_op *op, const struct lp_record *record);
int lpatch_places_make(struct lp_places *places, const struct lp_op *op, struct lp_outcome *out);
int lpatch_places_verify(struct lp_places *places, const struct lp_op *op, struct lp_outcome *out);
void lpatch_places_fault_in(struct lp_places *places, struct mm_struct *mm, bool write);
int lpatch_places_check(struct lp_places *places, const struct lp_op *op, struct lp_outcome *out,
			bool in_window);
int lpatch_places_pin(struct lp_places *places, const struct lp_op *op, struct lp_outcome *out);
void lpatch_places_unpin(struct lp_places *places);
int lpatch_places_refuse_missing(const struct lp_places *places, const struct lp_op *op,
				 struct lp_outcome *out);
void lpatch_places_write(const struct lp_places *places);
void lpatch_places_note(const struct lp_places *places, const struct lp_op *op);

#endif
