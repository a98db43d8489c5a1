// SPDX-License-Identifier: GPL-2.0
/* The addresses that no thread may refer to while a patch is applied, restored or unloaded. */

#include <linux/bsearch.h>
#include <linux/minmax.h>
#include <linux/sort.h>

#include "load.h"
#include "op.h"
#include "patch.h"
#include "span.h"

static int lp_span_cmp(const void *a, const void *b)
{
	const struct lp_span *x = a, *y = b;

	return x->lo < y->lo ? -1 : x->lo > y->lo;
}

/* Sorts and joins those that overlap, under the name of the first. Returns how many are left. */
static unsigned int lp_spans_sort(struct lp_span *spans, unsigned int nr)
{
	unsigned int i, last = 0;

	if (!nr)
		return 0;
	sort(spans, nr, sizeof(*spans), lp_span_cmp, NULL);
	for (i = 1; i < nr; i++) {
		if (spans[i].lo < spans[last].hi)
			spans[last].hi = max(spans[last].hi, spans[i].hi);
		else
			spans[++last] = spans[i];
	}
	return last + 1;
}

static int lp_span_match(const void *key, const void *elt)
{
	const struct lp_span *span = elt;
	unsigned long value = *(const unsigned long *)key;

	return value < span->lo ? -1 : value >= span->hi;
}

/**
 * lp_span_find() - find the span that an address is in
 * @spans: sorted and disjoint, as lp_spans_fill() leaves them
 * @nr: how many
 * @value: the address, or anything else that was found on a stack
 *
 * Most words are outside of all spans, and two comparisons tell.
 *
 * Return: the span, or NULL.
 */
const struct lp_span *lp_span_find(const struct lp_span *spans, unsigned int nr,
				   unsigned long value)
{
	if (!nr || value < spans[0].lo || value >= spans[nr - 1].hi)
		return NULL;
	return bsearch(&value, spans, nr, sizeof(*spans), lp_span_match);
}

static void lp_span_add(struct lp_op *op, unsigned long lo, unsigned long hi, const char *name)
{
	op->spans[op->scan.nr_spans++] = (struct lp_span){ .lo = lo, .hi = hi, .name = name };
}

/* Is there a jump at the entry [@start, @start + 4] of a function? The sites are sorted. */
static bool lp_entry_is_site(const struct lp_patch *patch, const struct lp_function *function)
{
	u32 lo = 0, hi = patch->nr_sites;

	while (lo < hi) {
		u32 mid = lo + (hi - lo) / 2;
		const struct lp_site *site = &patch->sites[mid];

		if (site->image < function->image ||
		    (site->image == function->image && site->vaddr < function->start))
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < patch->nr_sites && patch->sites[lo].image == function->image &&
	       patch->sites[lo].vaddr - function->start <= 4;
}

/* Must the code of the patch be unused: for unload always, for restore unless all may be active. */
static bool lp_needs_unused(const struct lp_op *op)
{
	const struct lp_patch *patch = op->patch;
	u32 i;

	if (op->verb != LP_RESTORE)
		return op->verb == LP_UNLOAD;
	for (i = 0; i < patch->nr_functions; i++)
		if (!lp_op_allows(op, patch->functions[i].symbol))
			return true;
	return !patch->nr_functions;
}

/**
 * lp_spans_fill() - work out the addresses that nobody may refer to
 * @op: with bases, base, and a table that is large enough; gets its spans sorted and disjoint
 *
 * A torn entry is one of which a thread has executed some
 * of the instructions that are overwritten, but not all. An address that is an entry itself is no
 * return address, but may be a pointer to the function, and a thread that is there has not begun.
 */
void lp_spans_fill(struct lp_op *op)
{
	const struct lp_patch *patch = op->patch;
	u32 i;

	op->scan.nr_spans = 0;
	for (i = 0; op->verb != LP_UNLOAD && i < patch->nr_sites; i++) {
		const struct lp_site *site = &patch->sites[i];
		unsigned long addr = lp_op_site_addr(op, site);

		if (site->kind == LPATCH_SITE_KIND_JUMP && op->places[i].len)
			lp_span_add(op, addr + 1, addr + site->len, site->symbol);
	}
	for (i = 0; op->verb == LP_APPLY && i < patch->nr_functions; i++) {
		const struct lp_function *function = &patch->functions[i];
		unsigned long base = op->bases[function->image];

		if (lp_op_allows(op, function->symbol))
			continue;
		lp_span_add(op, base + function->start + lp_entry_is_site(patch, function),
			    base + function->end, function->symbol);
	}
	for (i = 0; lp_needs_unused(op) && i < patch->nr_segments; i++) {
		const struct lp_segment *segment = &patch->segments[i];

		/* What the program mapped in its place is not ours to wait for. */
		if ((segment->prot & LPATCH_SEGMENT_PROT_EXEC) && lp_load_is_mapped(op, segment))
			lp_span_add(op, op->base + segment->vaddr,
				    op->base + segment->vaddr + segment->size, NULL);
	}
	op->scan.nr_spans = lp_spans_sort(op->spans, op->scan.nr_spans);
	op->scan.spans = op->spans;
}
