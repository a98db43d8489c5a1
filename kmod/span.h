/* SPDX-License-Identifier: GPL-2.0 */
#ifndef LPATCH_SPAN_H
#define LPATCH_SPAN_H

struct lp_op;

/*
 * Addresses [lo, hi) that no thread may refer to. @name is the function they belong to, or NULL for
 * a whole patch.
 */
struct lp_span {
	unsigned long lo;
	unsigned long hi;
	const char *name;
};

const struct lp_span *lp_span_find(const struct lp_span *spans, unsigned int nr,
				   unsigned long value);
void lp_spans_fill(struct lp_op *op);

#endif
