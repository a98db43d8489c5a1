// SPDX-License-Identifier: GPL-2.0
/*
 * Computes the places that an operation writes in its window: the sites of its patch and, if it
 * replaces other patches, theirs. If several patches are applied at a site, the one that was
 * applied last is on top; see layer.c.
 */

#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/sort.h>

#include "arch.h"
#include "layer.h"
#include "live.h"
#include "op.h"
#include "patch.h"
#include "places.h"
#include "target.h"

/* Order of the sites of a patch that is not applied: it goes on top. */
#define LP_ORDER_TOP U64_MAX

/* Is it the record of another patch that is applied? */
static bool lp_is_other(const struct lp_op *op, const struct lp_record *record)
{
	return record != op->record && lp_record_is_applied(record);
}

/*
 * Is it the record of another patch that is applied, and that lp_op_replaces() marked for restore?
 */
bool lpatch_places_replace(const struct lp_op *op, const struct lp_record *record)
{
	return record->goes == op->change && lp_is_other(op, record);
}

/* Return: a table of @nr places, or NULL with the operation refused. */
static struct lp_place *lp_places_alloc(const struct lp_op *op, u32 nr, struct lp_outcome *out)
{
	struct lp_place *table = kvcalloc(nr, sizeof(*table), GFP_KERNEL_ACCOUNT);

	if (!table)
		lpatch_refuse(out, LPATCH_REFUSAL_NO_MEMORY,
			      "there is no memory for the tables of patch %s", op->patch->name);
	return table;
}

/*
 * Adds the sites of the operation's patch, with the bytes that it writes and the bytes under them.
 */
static int lp_places_add_own(struct lp_places *places, const struct lp_op *op,
			     struct lp_outcome *out)
{
	const struct lp_patch *patch = op->patch;
	bool applied = lp_record_is_applied(op->record);
	u32 i;

	for (i = 0; i < patch->nr_sites; i++) {
		const struct lp_site *site = &patch->sites[i];
		struct lp_place *place = &places->table[places->nr++];

		place->site = site;
		place->addr = lpatch_op_site_addr(op, site);
		place->len = site->len;
		place->order = applied ? op->record->order : LP_ORDER_TOP;
		memcpy(place->to, site->new_bytes, site->len);
		memcpy(place->under, applied ? op->record->under[i] : site->old_bytes, site->len);
		if (site->kind == LPATCH_SITE_KIND_JUMP &&
		    !lpatch_arch_make_jump(place->to, place->addr, op->base + site->target))
			return lpatch_refuse(out, LPATCH_REFUSAL_FIXUP_RANGE,
					     "%s is out of reach of a jump to the patch",
					     site->symbol);
	}
	return 0;
}

/* By address; at the same address from the top layer down. */
static int lp_place_cmp(const void *a, const void *b)
{
	const struct lp_place *x = a, *y = b;

	if (x->addr != y->addr)
		return x->addr < y->addr ? -1 : 1;
	return x->order < y->order ? 1 : x->order > y->order ? -1 : 0;
}

static void lp_places_sort(struct lp_places *places)
{
	sort(places->table, places->nr, sizeof(*places->table), lp_place_cmp, NULL);
}

/* Does one of @nr sorted and disjoint places overlap [@addr, @addr + @len)? */
static bool lp_places_touch(const struct lp_place *table, u32 nr, unsigned long addr, u8 len)
{
	u32 lo = 0, hi = nr;

	while (lo < hi) {
		u32 mid = lo + (hi - lo) / 2;

		if (table[mid].addr + table[mid].len <= addr)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < nr && table[lo].addr < addr + len;
}

static void lp_place_of(struct lp_place *place, const struct lp_record *record, u32 i, bool replaced)
{
	const struct lp_site *site = &record->patch->sites[i];

	place->site = site;
	place->record = record;
	place->addr = lpatch_layer_addr(record, site);
	place->len = site->len;
	place->order = record->order;
	place->replaced = replaced;
	lpatch_layer_bytes(record, site, place->to);
	memcpy(place->under, record->under[i], site->len);
}

/*
 * Does the operation concern a site of another patch? If that patch is replaced, a site is left out
 * if its image is no longer mapped there: the memory belongs to something else.
 */
static bool lp_is_concerned(const struct lp_places *places, const struct lp_op *op,
			    const struct lp_record *record, const struct lp_site *site, bool replaced)
{
	if (replaced)
		return lpatch_live_is_site(op->target->mm, record->patch, site, record->bases);
	return lp_places_touch(places->table, places->nr, lpatch_layer_addr(record, site), site->len);
}

/*
 * Collects sites of other applied patches. If @replaced, all sites of the patches that the
 * operation replaces; otherwise those sites of the remaining patches that overlap an entry of
 * @places, which must be sorted. The sites are stored in @table unless it is NULL.
 *
 * Return: the number of sites.
 */
static u32 lp_places_others(const struct lp_places *places, const struct lp_op *op, bool replaced,
			    struct lp_place *table)
{
	const struct lp_record *record;
	u32 i, nr = 0;

	list_for_each_entry(record, &op->target->records, node) {
		if (!lp_is_other(op, record) || lpatch_places_replace(op, record) != replaced)
			continue;
		for (i = 0; i < record->patch->nr_sites; i++) {
			const struct lp_site *site = &record->patch->sites[i];

			if (!lp_is_concerned(places, op, record, site, replaced))
				continue;
			if (table)
				lp_place_of(&table[nr], record, i, replaced);
			nr++;
		}
	}
	return nr;
}

/* Adds the sites that lp_places_others() finds. Return: 0 or a refusal. */
static int lp_places_add_others(struct lp_places *places, const struct lp_op *op, bool replaced,
				struct lp_outcome *out)
{
	u32 nr = lp_places_others(places, op, replaced, NULL);
	struct lp_place *table;

	if (!nr)
		return 0;
	table = lp_places_alloc(op, places->nr + nr, out);
	if (!table)
		return -lpatch_refusal_errno(out->refusal);
	memcpy(table, places->table, places->nr * sizeof(*table));
	lp_places_others(places, op, replaced, table + places->nr);
	kvfree(places->table);
	places->table = table;
	places->nr += nr;
	lp_places_sort(places);
	return 0;
}

static int lp_refuse_place(struct lp_outcome *out, u32 refusal, const struct lp_place *own,
			   const struct lp_place *other, const char *how)
{
	strscpy(out->function, own->site->symbol, sizeof(out->function));
	return lpatch_refuse(out, refusal, "%s is replaced by patch %s %s, restore that one first",
			     own->site->symbol, other->record->patch->name, how);
}

/* Two images of the patch have the same address: the client passed one file for both. */
static int lp_refuse_twice(const struct lp_op *op, const struct lp_place *x, const struct lp_place *y,
			   struct lp_outcome *out)
{
	strscpy(out->function, x->site->symbol, sizeof(out->function));
	return lpatch_refuse(out, LPATCH_REFUSAL_SITE_TAKEN,
			     "%s and %s of patch %s are at one place in %s[%u]", x->site->symbol,
			     y->site->symbol, op->patch->name, op->target->comm, op->request->pid);
}

/*
 * Sites of two patches must be identical or disjoint: half of a jump can be neither written nor
 * kept.
 */
static int lp_places_overlap(const struct lp_places *places, const struct lp_op *op,
			     struct lp_outcome *out)
{
	u32 i;

	for (i = 1; i < places->nr; i++) {
		const struct lp_place *x = &places->table[i - 1], *y = &places->table[i];

		if (y->addr - x->addr >= x->len)
			continue;
		if (!x->record && !y->record)
			return lp_refuse_twice(op, x, y, out);
		if (y->addr == x->addr && y->len == x->len)
			continue;
		if (!x->record)
			return lp_refuse_place(out, LPATCH_REFUSAL_SITE_TAKEN, x, y, "at a part of it");
		if (!y->record)
			return lp_refuse_place(out, LPATCH_REFUSAL_SITE_TAKEN, y, x, "at a part of it");
	}
	return 0;
}

/*
 * Sets the expected bytes and the new bytes of a place, where @top is the top layer and @under will
 * be the bytes under @own.
 */
static void lp_place_change(const struct lp_op *op, struct lp_place *joined, const struct lp_place *own,
			    const struct lp_place *top, const u8 *under)
{
	const u8 *from = top ? top->to : own->under, *to = own ? own->to : under;

	if (op->request->verb == LP_RESTORE)
		to = under;
	else if (top == own)
		from = under; /* an applied patch is applied again only after it drifted */
	memcpy(joined->from, from, joined->len);
	memcpy(joined->to, to, joined->len);
	memcpy(joined->under, under, joined->len);
}

/*
 * Merges the @nr places at one address, which are layers of several patches, into @joined. A patch
 * that is removed must not be under one that stays: the record of that one has its bytes, and it
 * was made to be applied on top of it.
 * Return: 0 or a refusal.
 */
static int lp_places_join(const struct lp_op *op, const struct lp_place *group, u32 nr,
			  struct lp_place *joined, struct lp_outcome *out)
{
	const struct lp_place *own = NULL, *top = NULL, *kept = NULL, *last = NULL;
	u32 i;

	for (i = 0; i < nr; i++) {
		const struct lp_place *place = &group[i];

		own = place->record ? own : place;
		if (place->order == LP_ORDER_TOP)
			continue;
		top = top ?: place;
		if (place->record && !place->replaced)
			kept = kept ?: place;
		else if (kept)
			return lp_refuse_place(out, LPATCH_REFUSAL_COVERED, place, kept,
					       "too, which was applied later");
		else
			last = place;
	}
	*joined = own ? *own : *top;
	joined->replaced = last && last->replaced;
	lp_place_change(op, joined, own, top, last ? last->under : kept ? kept->to : own->under);
	return 0;
}

/* Merges the places at each address. Return: 0 or a refusal. */
static int lp_places_join_all(struct lp_places *places, const struct lp_op *op, struct lp_outcome *out)
{
	u32 i, end, kept = 0;
	int ret = 0;

	for (i = 0; !ret && i < places->nr; i = end) {
		struct lp_place joined;

		for (end = i + 1; end < places->nr; end++)
			if (places->table[end].addr != places->table[i].addr)
				break;
		ret = lp_places_join(op, &places->table[i], end - i, &joined, out);
		places->table[kept++] = joined;
	}
	places->nr = kept;
	return ret;
}

/**
 * lpatch_places_make() - compute the places of an operation, with their expected and new bytes
 * @places: zeroed; the caller frees the table
 * @op: with bases and base
 * @out: set to the refusal, if any
 *
 * Context: lp_target.lock and mmap_lock of the target held.
 * Return: 0 or a refusal.
 */
int lpatch_places_make(struct lp_places *places, const struct lp_op *op, struct lp_outcome *out)
{
	int ret;

	places->table = lp_places_alloc(op, op->patch->nr_sites, out);
	if (!places->table)
		return -lpatch_refusal_errno(out->refusal);
	ret = lp_places_add_own(places, op, out);
	if (ret)
		return ret;
	lp_places_sort(places);
	return lp_places_add_others(places, op, true, out) ?: lp_places_add_others(places, op, false, out) ?:
	       lp_places_overlap(places, op, out) ?: lp_places_join_all(places, op, out);
}
