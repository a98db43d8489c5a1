/* SPDX-License-Identifier: GPL-2.0 */
#ifndef LPATCH_SPAN_H
#define LPATCH_SPAN_H

#include <linux/types.h>

struct lp_op;

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

const struct lp_span *lp_span_find(const struct lp_span *spans, unsigned int nr,
				   unsigned long value);
int lp_spans_alloc(struct lp_op *op);
void lp_spans_fill(struct lp_op *op);

#endif
