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

#include "arch.h"
#include "layer.h"
#include "live.h"
#include "op.h"
#include "patch.h"
#include "places.h"
#include "target.h"

/* The order of the sites of a patch that is not applied: it goes on top. */
#define LP_ORDER_TOP U64_MAX

static bool lp_replaces(const struct lp_op *op)
{
	return op->flags & LPATCH_OP_FLAGS_REPLACE;
}

static bool lp_is_applied(const struct lp_record *record)
{
	return record && record->state == LPATCH_STATE_APPLIED;
}

/* Is it another patch that is applied to the target? */
bool lp_places_involve(const struct lp_op *op, const struct lp_record *record)
{
	return record != op->record && lp_is_applied(record);
}

/* Return: 0 or a refusal. */
int lp_places_alloc(struct lp_op *op)
{
	const struct lp_record *record;
	u32 nr = op->patch->nr_sites;

	list_for_each_entry(record, &op->target->records, node)
		if (lp_places_involve(op, record))
			nr += record->patch->nr_sites;
	op->places = kvcalloc(nr, sizeof(*op->places), GFP_KERNEL_ACCOUNT);
	if (op->places)
		return 0;
	return lp_op_refuse(op, LPATCH_REFUSAL_NO_MEMORY,
			    "there is no memory for the tables of patch %s", op->patch->name);
}

/* Adds the sites of the operation's patch: what it has there, and what is or will be under it. */
static int lp_places_add_own(struct lp_op *op)
{
	const struct lp_patch *patch = op->patch;
	bool applied = lp_is_applied(op->record);
	u32 i;

	for (i = 0; i < patch->nr_sites; i++) {
		const struct lp_site *site = &patch->sites[i];
		struct lp_place *place = &op->places[op->nr_places++];

		place->site = site;
		place->addr = lp_op_site_addr(op, site);
		place->len = site->len;
		place->order = applied ? op->record->order : LP_ORDER_TOP;
		memcpy(place->to, site->new_bytes, site->len);
		memcpy(place->under, applied ? op->record->under[i] : site->old_bytes, site->len);
		if (site->kind == LPATCH_SITE_KIND_JUMP &&
		    !lp_arch_make_jump(place->to, place->addr, op->base + site->target))
			return lp_op_refuse(op, LPATCH_REFUSAL_FIXUP_RANGE,
					    "%s is out of reach of a jump to the patch",
					    site->symbol);
	}
	return 0;
}

/* Adds those of another patch that is applied. */
static void lp_places_add_other(struct lp_op *op, const struct lp_record *record)
{
	const struct lp_patch *patch = record->patch;
	u32 i;

	for (i = 0; i < patch->nr_sites; i++) {
		const struct lp_site *site = &patch->sites[i];
		struct lp_place *place = &op->places[op->nr_places++];

		place->site = site;
		place->record = record;
		place->addr = lp_layer_addr(record, site);
		place->len = site->len;
		place->order = record->order;
		lp_layer_bytes(record, site, place->to);
		memcpy(place->under, record->under[i], site->len);
	}
}

/* By address, and at one address from the top down. */
static int lp_place_cmp(const void *a, const void *b)
{
	const struct lp_place *x = a, *y = b;

	if (x->addr != y->addr)
		return x->addr < y->addr ? -1 : 1;
	return x->order < y->order ? 1 : x->order > y->order ? -1 : 0;
}

static int lp_refuse_place(struct lp_op *op, u32 refusal, const struct lp_place *own,
			   const struct lp_place *other, const char *how)
{
	strscpy(op->function, own->site->symbol, sizeof(op->function));
	return lp_op_refuse(op, refusal, "%s is replaced by patch %s %s, restore that one first",
			    own->site->symbol, other->record->patch->name, how);
}

/* Sites of two patches are the same or apart: half of a jump can be neither written nor kept. */
static int lp_places_overlap(struct lp_op *op)
{
	u32 i;

	for (i = 1; i < op->nr_places; i++) {
		const struct lp_place *x = &op->places[i - 1], *y = &op->places[i];

		if (y->addr - x->addr >= x->len || (y->addr == x->addr && y->len == x->len))
			continue;
		if (!x->record)
			return lp_refuse_place(op, LPATCH_REFUSAL_SITE_TAKEN, x, y, "at a part of it");
		if (!y->record)
			return lp_refuse_place(op, LPATCH_REFUSAL_SITE_TAKEN, y, x, "at a part of it");
	}
	return 0;
}

/*
 * Makes one place of the @nr places at one address, of which the patches lie upon one another.
 * Return: 1 with the place in @out, 0 if there is nothing to do, or a refusal.
 */
static int lp_places_join(struct lp_op *op, const struct lp_place *group, u32 nr,
			  struct lp_place *out)
{
	const struct lp_place *own = NULL, *top = NULL, *bottom = NULL;
	u32 i;

	for (i = 0; i < nr; i++) {
		own = group[i].record ? own : &group[i];
		if (group[i].order == LP_ORDER_TOP)
			continue;
		top = top ?: &group[i];
		bottom = &group[i];
	}
	if (!own && !lp_replaces(op))
		return 0;
	*out = own ? *own : *top;
	if (lp_replaces(op)) {
		memcpy(out->from, top ? top->to : own->under, out->len);
		memcpy(out->under, bottom ? bottom->under : own->under, out->len);
		memcpy(out->to, own ? own->to : out->under, out->len);
	} else if (lp_is_applied(op->record)) {
		if (top != own)
			return lp_refuse_place(op, LPATCH_REFUSAL_COVERED, own, top, "too, which was applied later");
		memcpy(out->from, op->verb == LP_RESTORE ? own->to : own->under, out->len);
		memcpy(out->to, op->verb == LP_RESTORE ? own->under : own->to, out->len);
	} else {
		memcpy(out->from, top ? top->to : own->under, out->len);
		memcpy(out->under, out->from, out->len);
	}
	return 1;
}

/**
 * lp_places_fill() - work out the places of an operation: what must be there and what is written
 * @op: with bases and base, and a table from lp_places_alloc()
 *
 * Return: 0 or a refusal.
 */
int lp_places_fill(struct lp_op *op)
{
	const struct lp_record *record;
	u32 i, end, kept = 0;
	int ret;

	ret = lp_places_add_own(op);
	if (ret)
		return ret;
	list_for_each_entry(record, &op->target->records, node)
		if (lp_places_involve(op, record))
			lp_places_add_other(op, record);
	sort(op->places, op->nr_places, sizeof(*op->places), lp_place_cmp, NULL);
	ret = lp_places_overlap(op);
	for (i = 0; !ret && i < op->nr_places; i = end) {
		struct lp_place joined;

		for (end = i + 1; end < op->nr_places; end++)
			if (op->places[end].addr != op->places[i].addr)
				break;
		ret = lp_places_join(op, &op->places[i], end - i, &joined);
		if (ret <= 0)
			continue;
		op->places[kept++] = joined;
		ret = 0;
	}
	op->nr_places = kept;
	return ret;
}

/* Notes in the record what the patch lies upon; see lp_op_note(). */
void lp_places_note(struct lp_op *op)
{
	u32 i;

	for (i = 0; i < op->nr_places; i++) {
		const struct lp_place *place = &op->places[i];

		if (!place->record)
			memcpy(op->record->under[place->site - op->patch->sites], place->under,
			       sizeof(place->under));
	}
}

/**
 * lp_places_verify() - find out which places are still in the mapping of their image
 * @op: with places, to apply or restore
 *
 * Others belong to something else by now, and nothing is written there: what is put back is left
 * out, all else is refused.
 *
 * Context: mmap_lock of the target held, and what is found holds as long as it is.
 * Return: 0 or a refusal.
 */
int lp_places_verify(struct lp_op *op)
{
	const struct lp_patch *patch = op->patch;
	struct mm_struct *mm = op->target->mm;
	u32 i;

	/* A dry run, and only that, leaves it to the apply to complete what a fork copied a part of. */
	if (op->record && op->verb == LP_APPLY && !lp_live_is_patch(mm, op->record) &&
	    !((op->flags & LPATCH_OP_FLAGS_DRY_RUN) && lp_live_is_partial(mm, op->record)))
		return lp_op_refuse(op, LPATCH_REFUSAL_PATCH_MISSING,
				    "%s[%u] unmapped or replaced patch %s in its memory; restore and unload it, then apply it again",
				    op->target->comm, op->pid, patch->name);
	for (i = 0; i < op->nr_places; i++) {
		struct lp_place *place = &op->places[i];
		const struct lp_record *other = place->record;

		if (lp_live_is_site(mm, other ? other->patch : patch, place->site,
				    other ? other->bases : op->bases))
			continue;
		if (other || op->verb == LP_RESTORE) {
			place->len = 0;
			continue;
		}
		strscpy(op->function, place->site->symbol, sizeof(op->function));
		return lp_op_refuse(op, LPATCH_REFUSAL_IMAGE_MOVED,
				    "%s is no longer mapped in %s[%u] where it was when patch %s was loaded; restore and unload the patch, then apply it again",
				    patch->images[place->site->image].name, op->target->comm,
				    op->pid, patch->name);
	}
	return 0;
}

/**
 * lp_places_fault_in() - have the pages of all places in memory when nothing may fault
 * @op: with its places; gets fault
 * @write: and private to the target
 *
 * What is mapped at a place by now is looked at later, under the lock: that a page too many is
 * touched is no harm.
 *
 * Context: no lock held; between lp_op_wait_begin() and lp_op_wait_end().
 */
void lp_places_fault_in(struct lp_op *op, bool write)
{
	u32 i;

	op->fault = 0;
	for (i = 0; !op->fault && i < op->nr_places; i++)
		op->fault = lp_place_fault_in(op->target->mm, &op->places[i], write);
}

/* Refuses the operation because of a place that is not in memory. Returns the negative errno. */
int lp_places_refuse_missing(struct lp_op *op)
{
	const struct lp_place *place = op->missing;

	strscpy(op->function, place->site->symbol, sizeof(op->function));
	if (op->fault == -EINTR)
		return lp_op_refuse(op, LPATCH_REFUSAL_SITE_UNREADABLE,
				    "the page of %s did not come into the memory of %s[%u] in time",
				    place->site->symbol, op->target->comm, op->pid);
	return lp_op_refuse(op, LPATCH_REFUSAL_SITE_UNREADABLE,
			    "%s cannot be read or made private in %s[%u] (error %d)",
			    place->site->symbol, op->target->comm, op->pid,
			    op->fault ? -op->fault : EFAULT);
}

/* Return: a refusal, or -EFAULT if the page was there and may be there again. */
static int lp_place_missing(struct lp_op *op, const struct lp_place *place)
{
	op->missing = place;
	return op->fault ? lp_places_refuse_missing(op) : -EFAULT;
}

/*
 * Text whose private pages were dropped has the bytes of the image again, whatever the records say,
 * and to write the wanted bytes over the wanted bytes is no harm.
 */
static bool lp_place_is_right(const struct lp_op *op, const struct lp_place *place, const u8 *found)
{
	if (!memcmp(found, place->from, place->len))
		return true;
	if (!lp_is_applied(op->record) && !lp_replaces(op))
		return false;
	return !memcmp(found, place->to, place->len) ||
	       !memcmp(found, place->site->old_bytes, place->len);
}

/* The bytes themselves may be a secret of the program, and sentences get into logs. */
static int lp_refuse_bytes(struct lp_op *op, const struct lp_place *place)
{
	const struct lp_patch *patch = place->record ? place->record->patch : op->patch;
	const struct lp_site *site = place->site;

	strscpy(op->function, site->symbol, sizeof(op->function));
	return lp_op_refuse(op, LPATCH_REFUSAL_BYTES_DIFFER,
			    "%s of %s has other bytes than the patch expects: %s",
			    site->symbol, patch->images[site->image].name,
			    site->kind == LPATCH_SITE_KIND_JUMP ?
				    "a breakpoint, another tool, or another build of the file" :
				    "the program has changed this variable, and what it wrote would be lost");
}

/**
 * lp_places_check() - compare what is there with what must be
 * @op: with its places
 * @in_window: the threads are stopped, and nothing may fault
 *
 * A dry run pins nothing, so a page may be reclaimed between the first look and the window. It was
 * right then, and nothing will be written to it: the second look passes over it.
 *
 * Context: mmap_lock held.
 * Return: 0, a refusal, or -EFAULT if a page has to be faulted in first.
 */
int lp_places_check(struct lp_op *op, bool in_window)
{
	u8 found[LPATCH_SITE_MAX];
	u32 i;

	for (i = 0; i < op->nr_places; i++) {
		const struct lp_place *place = &op->places[i];

		if (in_window ? lp_place_read(place, found) :
				lp_peek(op->target->mm, place->addr, found, place->len, false)) {
			if (in_window && !place->pages[0])
				continue;
			return lp_place_missing(op, place);
		}
		if (!lp_place_is_right(op, place, found))
			return lp_refuse_bytes(op, place);
	}
	return 0;
}

void lp_places_unpin(struct lp_op *op)
{
	u32 i;

	for (i = 0; i < op->nr_places; i++)
		lp_place_unpin(&op->places[i]);
}

/*
 * mmap_lock held. Return: 0, or with nothing pinned a refusal, or -EFAULT if a page has to be faulted
 * in first.
 */
int lp_places_pin(struct lp_op *op)
{
	u32 i;
	int ret;

	for (i = 0; i < op->nr_places; i++) {
		struct lp_place *place = &op->places[i];

		ret = lp_place_pin(op->target->mm, place);
		if (!ret)
			continue;
		lp_places_unpin(op);
		if (ret != -EFAULT)
			op->fault = ret;
		return lp_place_missing(op, place);
	}
	return 0;
}

/* Cannot fail: everything is pinned, checked and committed. */
void lp_places_write(struct lp_op *op)
{
	u32 i;

	for (i = 0; i < op->nr_places; i++)
		lp_place_write(&op->places[i]);
}
