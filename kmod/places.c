// SPDX-License-Identifier: GPL-2.0
/*
 * All the places that an operation writes in its one window: the sites of its patch, and where it
 * replaces others, theirs. At a site at which several patches are applied the one that was applied
 * last is on top; layer.c tells how that is kept.
 */

#include <linux/mm.h>
#include <linux/mmap_lock.h>
#include <linux/slab.h>
#include <linux/sort.h>
#include <linux/timekeeping.h>

#include "arch.h"
#include "layer.h"
#include "live.h"
#include "op.h"
#include "patch.h"
#include "places.h"
#include "target.h"

/* The order of the sites of a patch that is not applied: it goes on top. */
#define LP_ORDER_TOP U64_MAX

static bool lp_is_applied(const struct lp_record *record)
{
	return record && record->state == LPATCH_STATE_APPLIED;
}

/* Is it that of another patch that is applied? */
static bool lp_is_other(const struct lp_op *op, const struct lp_record *record)
{
	return record != op->record && lp_is_applied(record);
}

/* Is it that of another patch that is applied, and that lp_op_replaces() has found the operation to restore? */
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

/* Adds the sites of the operation's patch: what it has there, and what is or will be under it. */
static int lp_places_add_own(struct lp_places *places, const struct lp_op *op,
			     struct lp_outcome *out)
{
	const struct lp_patch *patch = op->patch;
	bool applied = lp_is_applied(op->record);
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

/* By address, and at one address from the top down. */
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

/* Has one of @nr places, which are sorted and apart, a byte of [@addr, @addr + @len)? */
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
 * Has the operation to do with a site of another patch? Of one that goes, nothing is put back where its image is no longer
 * mapped: what is there now belongs to something else, and has other bytes under it.
 */
static bool lp_is_concerned(const struct lp_places *places, const struct lp_op *op,
			    const struct lp_record *record, const struct lp_site *site, bool replaced)
{
	if (replaced)
		return lpatch_live_is_site(op->target->mm, record->patch, site, record->bases);
	return lp_places_touch(places->table, places->nr, lpatch_layer_addr(record, site), site->len);
}

/*
 * The sites of other patches that are applied: with @replaced all of those that the operation restores,
 * else those of the others at which one in @places lies, too, which are sorted.
 *
 * Return: how many; they are put into @table, if there is one.
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

/* Adds them. Return: 0 or a refusal. */
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

/* Two of its images are in the same place: the client gave one file for both. */
static int lp_refuse_twice(const struct lp_op *op, const struct lp_place *x, const struct lp_place *y,
			   struct lp_outcome *out)
{
	strscpy(out->function, x->site->symbol, sizeof(out->function));
	return lpatch_refuse(out, LPATCH_REFUSAL_SITE_TAKEN,
			     "%s and %s of patch %s are at one place in %s[%u]", x->site->symbol,
			     y->site->symbol, op->patch->name, op->target->comm, op->request->pid);
}

/* Sites of two patches are the same or apart: half of a jump can be neither written nor kept. */
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

/* What is there now, and what is written: of the patches at a place @top is on top, and @under will be under @own. */
static void lp_place_change(const struct lp_op *op, struct lp_place *joined, const struct lp_place *own,
			    const struct lp_place *top, const u8 *under)
{
	const u8 *from = top ? top->to : own->under, *to = own ? own->to : under;

	if (op->request->verb == LP_RESTORE)
		to = under;
	else if (top == own)
		from = under; /* what is applied already has drifted */
	memcpy(joined->from, from, joined->len);
	memcpy(joined->to, to, joined->len);
	memcpy(joined->under, under, joined->len);
}

/*
 * Makes one place, @joined, of the @nr places at one address, of which the patches lie upon one another. What goes must
 * not be under what stays: that one knows what is under it, and was made for it.
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

/* Joins those at each address. Return: 0 or a refusal. */
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
 * lpatch_places_make() - work out the places of an operation: what must be there and what is written
 * @places: zeroed; the table is the caller's to free
 * @op: with bases and base
 * @out: gets a refusal
 *
 * Context: lp_target.lock held, and mmap_lock of the target.
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

/**
 * lpatch_places_verify() - find out which places are still in the mapping of their image
 * @places: those that are not, and are put back, get no length
 * @op: to apply or restore
 * @out: gets a refusal
 *
 * Others belong to something else by now, and nothing is written there: what is put back is left
 * out, all else is refused.
 *
 * Context: mmap_lock of the target held, and what is found holds as long as it is.
 * Return: 0 or a refusal.
 */
int lpatch_places_verify(struct lp_places *places, const struct lp_op *op, struct lp_outcome *out)
{
	const struct lp_patch *patch = op->patch;
	struct mm_struct *mm = op->target->mm;
	u32 i;

	/* A dry run, and only that, leaves it to the apply to complete what a fork copied a part of. */
	if (op->record && op->request->verb == LP_APPLY && !lpatch_live_is_patch(mm, op->record) &&
	    !(lp_request_is_dry_run(op->request) && lpatch_live_is_partial(mm, op->record)))
		return lpatch_refuse(out, LPATCH_REFUSAL_PATCH_MISSING,
				     "%s[%u] unmapped or replaced patch %s in its memory; restore and unload it, then apply it again",
				     op->target->comm, op->request->pid, patch->name);
	for (i = 0; i < places->nr; i++) {
		struct lp_place *place = &places->table[i];
		const struct lp_record *other = place->record;

		if (lpatch_live_is_site(mm, other ? other->patch : patch, place->site,
					other ? other->bases : op->bases))
			continue;
		if (other || op->request->verb == LP_RESTORE) {
			place->len = 0;
			continue;
		}
		strscpy(out->function, place->site->symbol, sizeof(out->function));
		return lpatch_refuse(out, LPATCH_REFUSAL_IMAGE_MOVED,
				     "%s is no longer mapped in %s[%u] where it was when patch %s was loaded; restore and unload the patch, then apply it again",
				     patch->images[place->site->image].name, op->target->comm,
				     op->request->pid, patch->name);
	}
	return 0;
}

/**
 * lpatch_places_fault_in() - have the pages of all places in memory when nothing may fault
 * @places: gets fault
 * @mm: the target
 * @write: and private to the target
 *
 * What is mapped at a place by now is looked at later, under the lock: that a page too many is
 * touched is no harm.
 *
 * Context: no lock held; between lpatch_op_wait_begin() and lpatch_op_wait_end().
 */
void lpatch_places_fault_in(struct lp_places *places, struct mm_struct *mm, bool write)
{
	u32 i;

	places->fault = 0;
	for (i = 0; !places->fault && i < places->nr; i++)
		places->fault = lpatch_place_fault_in(mm, &places->table[i], write);
}

/* Refuses the operation because of a place that is not in memory. Returns the negative errno. */
int lpatch_places_refuse_missing(const struct lp_places *places, const struct lp_op *op,
				 struct lp_outcome *out)
{
	const struct lp_place *place = places->missing;

	strscpy(out->function, place->site->symbol, sizeof(out->function));
	if (places->fault == -EINTR)
		return lpatch_refuse(out, LPATCH_REFUSAL_SITE_UNREADABLE,
				     "the page of %s did not come into the memory of %s[%u] in time",
				     place->site->symbol, op->target->comm, op->request->pid);
	return lpatch_refuse(out, LPATCH_REFUSAL_SITE_UNREADABLE,
			     "%s cannot be read or made private in %s[%u] (error %d)",
			     place->site->symbol, op->target->comm, op->request->pid,
			     places->fault ? -places->fault : EFAULT);
}

/* Return: a refusal, or -EFAULT if the page was there and may be there again. */
static int lp_place_missing(struct lp_places *places, const struct lp_place *place,
			    const struct lp_op *op, struct lp_outcome *out)
{
	places->missing = place;
	return places->fault ? lpatch_places_refuse_missing(places, op, out) : -EFAULT;
}

/*
 * Text whose private pages were dropped has the bytes of the image again, whatever the records say,
 * and to write the wanted bytes over the wanted bytes is no harm.
 */
static bool lp_place_is_right(const struct lp_op *op, const struct lp_place *place, const u8 *found)
{
	if (!memcmp(found, place->from, place->len))
		return true;
	if (!lp_is_applied(op->record) && !place->replaced)
		return false;
	return !memcmp(found, place->to, place->len) ||
	       !memcmp(found, place->site->old_bytes, place->len);
}

/* The bytes themselves may be a secret of the program, and sentences get into logs. */
static int lp_refuse_bytes(struct lp_outcome *out, const struct lp_place *place,
			   const struct lp_patch *own)
{
	const struct lp_patch *patch = place->record ? place->record->patch : own;
	const struct lp_site *site = place->site;

	strscpy(out->function, site->symbol, sizeof(out->function));
	return lpatch_refuse(out, LPATCH_REFUSAL_BYTES_DIFFER,
			     "%s of %s has other bytes than the patch expects: %s",
			     site->symbol, patch->images[site->image].name,
			     site->kind == LPATCH_SITE_KIND_JUMP ?
				 "a breakpoint, another tool, or another build of the file" :
				 "the program has changed this variable, and what it wrote would be lost");
}

/**
 * lpatch_places_check() - compare what is there with what must be
 * @places: gets missing
 * @op: the operation
 * @out: gets a refusal
 * @in_window: the threads are stopped, and nothing may fault
 *
 * A dry run pins nothing, so a page may be reclaimed between the first look and the window. It was
 * right then, and nothing will be written to it: the second look passes over it.
 *
 * Context: mmap_lock held.
 * Return: 0, a refusal, or -EFAULT if a page has to be faulted in first.
 */
int lpatch_places_check(struct lp_places *places, const struct lp_op *op, struct lp_outcome *out,
			bool in_window)
{
	u8 found[LPATCH_SITE_MAX];
	u32 i;

	for (i = 0; i < places->nr; i++) {
		const struct lp_place *place = &places->table[i];

		if (in_window ? lpatch_place_read(place, found) :
				lpatch_peek(op->target->mm, place->addr, found, place->len, false)) {
			if (in_window && !place->pages[0])
				continue;
			return lp_place_missing(places, place, op, out);
		}
		if (!lp_place_is_right(op, place, found))
			return lp_refuse_bytes(out, place, op->patch);
	}
	return 0;
}

void lpatch_places_unpin(struct lp_places *places)
{
	u32 i;

	for (i = 0; i < places->nr; i++)
		lpatch_place_unpin(&places->table[i]);
}

/*
 * mmap_lock held. Return: 0, or with nothing pinned a refusal, or -EFAULT if a page has to be faulted
 * in first.
 */
int lpatch_places_pin(struct lp_places *places, const struct lp_op *op, struct lp_outcome *out)
{
	u32 i;
	int ret;

	for (i = 0; i < places->nr; i++) {
		struct lp_place *place = &places->table[i];

		ret = lpatch_place_pin(op->target->mm, place);
		if (!ret)
			continue;
		lpatch_places_unpin(places);
		if (ret != -EFAULT)
			places->fault = ret;
		return lp_place_missing(places, place, op, out);
	}
	return 0;
}

/* Cannot fail: everything is pinned, checked and committed. */
void lpatch_places_write(const struct lp_places *places)
{
	u32 i;

	for (i = 0; i < places->nr; i++)
		lpatch_place_write(&places->table[i]);
}

/* Notes in the record what the patch lies upon. */
static void lp_places_note_under(const struct lp_places *places, const struct lp_patch *patch,
				 struct lp_record *record)
{
	u32 i;

	for (i = 0; i < places->nr; i++) {
		const struct lp_place *place = &places->table[i];

		if (!place->record)
			memcpy(record->under[place->site - patch->sites], place->under,
			       sizeof(place->under));
	}
}

static void lp_record_set(struct lp_record *record, u32 state, u64 since, u64 change)
{
	record->state = state;
	record->since = since;
	record->change = change;
}

/**
 * lpatch_places_note() - note in the records what was just written
 * @places: what was
 * @op: an apply or a restore; its record is among those that change
 *
 * With the memory, and before it can be copied: a fork waits for the mmap_lock.
 *
 * Context: in the window.
 */
void lpatch_places_note(const struct lp_places *places, const struct lp_op *op)
{
	bool apply = op->request->verb == LP_APPLY;
	u64 since = ktime_get_real_ns();
	struct lp_record *record;

	list_for_each_entry(record, &op->target->records, node)
		if (lpatch_places_replace(op, record))
			lp_record_set(record, LPATCH_STATE_RESTORED, since, op->change);
	if (apply) {
		lp_places_note_under(places, op->patch, op->record);
		op->record->order = lpatch_next_id();
	}
	lp_record_set(op->record, apply ? LPATCH_STATE_APPLIED : LPATCH_STATE_RESTORED, since, op->change);
}
