// SPDX-License-Identifier: GPL-2.0
/*
 * The ranges of code that go out of use when a patch is applied, restored or unloaded: those to
 * which no thread may refer, and those that calls in progress may finish in, whose threads are
 * counted.
 */

#include <linux/minmax.h>
#include <linux/slab.h>
#include <linux/sort.h>

#include "layer.h"
#include "load.h"
#include "op.h"
#include "patch.h"
#include "places.h"
#include "span.h"
#include "target.h"

static int lp_span_cmp(const void *a, const void *b)
{
	const struct lp_span *x = a, *y = b;

	if (x->allowed != y->allowed)
		return x->allowed - y->allowed;
	return x->lo < y->lo ? -1 : x->lo > y->lo;
}

/*
 * Sorts spans, allowed ones last, and merges overlapping spans of the same kind under the name of
 * the first.
 * Return: the number of spans left.
 */
static unsigned int lp_spans_sort(struct lp_span *spans, unsigned int nr)
{
	unsigned int i, last = 0;

	if (!nr)
		return 0;
	sort(spans, nr, sizeof(*spans), lp_span_cmp, NULL);
	for (i = 1; i < nr; i++) {
		if (spans[i].allowed == spans[last].allowed && spans[i].lo < spans[last].hi)
			spans[last].hi = max(spans[last].hi, spans[i].hi);
		else
			spans[++last] = spans[i];
	}
	return last + 1;
}

static void lp_span_add(struct lp_spans *spans, struct lp_span span)
{
	spans->table[spans->nr++] = span;
}

/* Is there a site at the entry [start, start + 4] of a function? The sites are sorted. */
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

/* May calls in progress finish in the code in which they began, in every function? */
static bool lp_allows_all(const struct lp_request *req, const struct lp_patch *patch)
{
	u32 i;

	if (req->verb == LP_RECOUNT)
		return true;
	if (req->verb == LP_UNLOAD || req->replaces)
		return false;
	for (i = 0; i < patch->nr_functions; i++)
		if (!lpatch_request_allows(req, patch->functions[i].symbol))
			return false;
	return patch->nr_functions;
}

/*
 * Does the operation, or did the one that a recount looks at, put the old function bodies out of
 * use rather than the code of the operation's patch?
 */
static bool lp_leaves_old_code(const struct lp_op *op)
{
	return op->request->verb == LP_APPLY ||
	       (op->request->verb == LP_RECOUNT && op->record->state == LPATCH_STATE_APPLIED);
}

/* Does another patch replace a function that the operation's patch replaces, too? */
static bool lp_shares_site(const struct lp_op *op, const struct lp_record *record)
{
	u32 i;

	for (i = 0; i < op->patch->nr_sites; i++)
		if (lpatch_layer_site(record, lpatch_op_site_addr(op, &op->patch->sites[i])))
			return true;
	return false;
}

/*
 * Does code of another patch go out of use with the operation, or is it out of use with threads in
 * it that are only counted? Threads may still be in a patch that was restored before.
 */
static bool lp_is_under(const struct lp_op *op, const struct lp_record *record)
{
	if (!lp_leaves_old_code(op) || record == op->record)
		return false;
	switch (record->state) {
	case LPATCH_STATE_APPLIED:
		if (lpatch_places_replace(op, record))
			return true;
		if (op->request->verb == LP_RECOUNT && record->order > op->record->order)
			return false;
		break;
	case LPATCH_STATE_RESTORED:
	case LPATCH_STATE_LOADED: /* in a child, since its parent may have applied and restored the patch */
		if (!record->active.threads)
			return false;
		break;
	default:
		return false;
	}
	return lp_shares_site(op, record);
}

/*
 * Adds the code of a whole patch. A segment that the program replaced with another mapping is not
 * ours and is skipped.
 */
static void lp_spans_add_patch(struct lp_spans *spans, const struct lp_op *op,
			       const struct lp_patch *patch, unsigned long base)
{
	bool allowed = lp_allows_all(op->request, op->patch);
	u32 i;

	for (i = 0; i < patch->nr_segments; i++) {
		const struct lp_segment *segment = &patch->segments[i];
		unsigned long lo = base + segment->vaddr;

		if ((segment->prot & LPATCH_SEGMENT_PROT_EXEC) &&
		    lpatch_load_is_mapped(op->target->mm, patch, base, segment))
			lp_span_add(spans, (struct lp_span){
				.lo = lo,
				.hi = lo + segment->size,
				.name = patch->name,
				.is_patch = true,
				.allowed = allowed,
			});
	}
}

/* Adds the old bodies of the functions of the operation's patch. */
static void lp_spans_add_functions(struct lp_spans *spans, const struct lp_op *op)
{
	const struct lp_request *req = op->request;
	const struct lp_patch *patch = op->patch;
	u32 i;

	for (i = 0; i < patch->nr_functions; i++) {
		const struct lp_function *function = &patch->functions[i];
		unsigned long base = op->bases[function->image];

		if (req->fresh & BIT(function->image))
			continue;
		lp_span_add(spans, (struct lp_span){
			.lo = base + function->start + lp_entry_is_site(patch, function),
			.hi = base + function->end,
			.name = function->symbol,
			.allowed = req->verb == LP_RECOUNT || lpatch_request_allows(req, function->symbol),
		});
	}
}

/* Adds the torn entries: a thread there has executed some of the overwritten bytes, but not all. */
static void lp_spans_add_torn(struct lp_spans *spans, const struct lp_places *places, u32 fresh)
{
	u32 i;

	for (i = 0; i < places->nr; i++) {
		const struct lp_place *place = &places->table[i];

		if (!place->record && (fresh & BIT(place->site->image)))
			continue;
		if (place->site->kind == LPATCH_SITE_KIND_JUMP && place->len)
			lp_span_add(spans, (struct lp_span){
				.lo = place->addr + 1,
				.hi = place->addr + place->len,
				.name = place->site->symbol,
			});
	}
}

/**
 * lpatch_spans_alloc() - allocate the table for lpatch_spans_fill()
 * @spans: zeroed; the caller frees the table
 * @op: the operation
 * @places: the places that it writes, none for an unload or a recount
 * @out: set to the refusal, if any
 *
 * Return: 0 or a refusal.
 */
int lpatch_spans_alloc(struct lp_spans *spans, const struct lp_op *op, const struct lp_places *places,
		       struct lp_outcome *out)
{
	const struct lp_record *record;
	u32 nr = places->nr + op->patch->nr_functions + op->patch->nr_segments;

	list_for_each_entry(record, &op->target->records, node)
		if (lp_is_under(op, record))
			nr += record->patch->nr_segments;
	spans->table = kvcalloc(nr, sizeof(*spans->table), GFP_KERNEL_ACCOUNT);
	if (spans->table)
		return 0;
	return lpatch_refuse(out, LPATCH_REFUSAL_NO_MEMORY,
			     "there is no memory for the tables of patch %s", op->patch->name);
}

/**
 * lpatch_spans_fill() - compute the ranges of code that go out of use
 * @spans: from lpatch_spans_alloc()
 * @op: with bases and base
 * @places: the places that it writes
 *
 * A torn entry is one where a thread has executed some of the overwritten instructions, but not
 * all. The address of the entry itself is excluded: it is never a return address, it may be a
 * function pointer, and a thread at it has not begun to execute the entry. When a patch is applied,
 * the old function bodies go out of use, and the code of patches that it replaces or covers. When a
 * patch is restored or unloaded, its own code goes out of use. A recount looks for the code that
 * went out of use when the patch reached its current state.
 */
void lpatch_spans_fill(struct lp_spans *spans, const struct lp_op *op, const struct lp_places *places)
{
	const struct lp_record *record;
	unsigned int nr;

	spans->nr = 0;
	lp_spans_add_torn(spans, places, op->request->fresh);
	if (lp_leaves_old_code(op))
		lp_spans_add_functions(spans, op);
	else
		lp_spans_add_patch(spans, op, op->patch, op->base);
	list_for_each_entry(record, &op->target->records, node)
		if (lp_is_under(op, record))
			lp_spans_add_patch(spans, op, record->patch, record->base);
	nr = lp_spans_sort(spans->table, spans->nr);
	for (spans->nr = 0; spans->nr < nr; spans->nr++)
		if (spans->table[spans->nr].allowed)
			break;
	spans->allowed = spans->table + spans->nr;
	spans->nr_allowed = nr - spans->nr;
}
