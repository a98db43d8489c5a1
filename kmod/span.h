/* SPDX-License-Identifier: GPL-2.0 */
#ifndef LPATCH_SPAN_H
#define LPATCH_SPAN_H

#include <linux/types.h>

struct lp_op;
struct lp_outcome;
struct lp_places;

/*
 * Addresses [lo, hi) of code that goes out of use. No thread may refer to them, unless they are
 * @allowed: then who does is counted. @name is that of the function they belong to, or if @is_patch,
 * of the patch.
 */
struct lp_span {
	unsigned long lo;
	unsigned long hi;
	const char *name;
	bool is_patch;
	bool allowed;
};

/**
 * struct lp_spans - all spans of an operation
 * @table: those that nobody may refer to, sorted and disjoint; those that are allowed behind them
 * @nr: how many nobody may refer to
 * @allowed: where the others begin, sorted and disjoint
 * @nr_allowed: how many there are
 */
struct lp_spans {
	struct lp_span *table;
	unsigned int nr;
	const struct lp_span *allowed;
	unsigned int nr_allowed;
};

int lpatch_spans_alloc(struct lp_spans *spans, const struct lp_op *op, const struct lp_places *places,
		       struct lp_outcome *out);
void lpatch_spans_fill(struct lp_spans *spans, const struct lp_op *op, const struct lp_places *places);

#endif
