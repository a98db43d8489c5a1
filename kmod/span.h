/* SPDX-License-Identifier: GPL-2.0 */
#ifndef LPATCH_SPAN_H
#define LPATCH_SPAN_H

#include <linux/types.h>

struct lp_op;
struct lp_outcome;
struct lp_places;

/*
 * A range [lo, hi) of code that goes out of use. No thread may refer to it, unless it is @allowed:
 * then the threads that do are counted. @name is the function that it belongs to, or if @is_patch,
 * the patch.
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
 * @table: spans to which no thread may refer, sorted and disjoint, followed by the allowed ones
 * @nr: number of spans to which no thread may refer
 * @allowed: the allowed spans, sorted and disjoint
 * @nr_allowed: number of allowed spans
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
