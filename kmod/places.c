// SPDX-License-Identifier: GPL-2.0
/* Verifies, pins and writes the places of an operation, as computed by places_make.c. */

#include <linux/mm.h>
#include <linux/mmap_lock.h>
#include <linux/timekeeping.h>

#include "live.h"
#include "op.h"
#include "patch.h"
#include "places.h"
#include "target.h"

/**
 * lpatch_places_verify() - check which places are still in the mapping of their image
 * @places: the length of a place to restore is set to 0 if it is not
 * @op: an apply or a restore
 * @out: set to the refusal, if any
 *
 * A place that is no longer in the mapping of its image belongs to something else and must not be
 * written. If it was to be restored, it is left out; otherwise the operation is refused.
 *
 * Context: mmap_lock of the target held; the result is valid as long as it is held.
 * Return: 0 or a refusal.
 */
int lpatch_places_verify(struct lp_places *places, const struct lp_op *op, struct lp_outcome *out)
{
	const struct lp_patch *patch = op->patch;
	struct mm_struct *mm = op->target->mm;
	u32 i;

	/*
	 * Only a dry run may find a patch that a fork copied in part: an apply has completed it by
	 * now.
	 */
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
 * lpatch_places_fault_in() - fault in the pages of all places before a section that must not fault
 * @places: fault is set
 * @mm: the target
 * @write: also make the pages private to the target
 *
 * The mappings of the places are verified later, under the lock. Faulting in a page of another
 * mapping is harmless.
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

/* Refuses the operation because of a place that is not in memory. Return: the negative errno. */
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

/*
 * Notes a missing place. Return: a refusal, or -EFAULT if its page was reclaimed and can be faulted
 * in again.
 */
static int lp_place_missing(struct lp_places *places, const struct lp_place *place,
			    const struct lp_op *op, struct lp_outcome *out)
{
	places->missing = place;
	return places->fault ? lpatch_places_refuse_missing(places, op, out) : -EFAULT;
}

/*
 * May the bytes at a place be overwritten? Text whose private pages were dropped has the bytes of
 * the image again, whatever the records say. Bytes that already have the new value are fine, too.
 */
static bool lp_place_is_right(const struct lp_op *op, const struct lp_place *place, const u8 *found)
{
	if (!memcmp(found, place->from, place->len))
		return true;
	if (!lp_record_is_applied(op->record) && !place->replaced)
		return false;
	return !memcmp(found, place->to, place->len) ||
	       !memcmp(found, place->site->old_bytes, place->len);
}

/* The message does not contain the bytes: they may be secret, and messages end up in logs. */
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
 * lpatch_places_check() - compare the bytes at the places with the expected ones
 * @places: missing is set
 * @op: the operation
 * @out: set to the refusal, if any
 * @in_window: the threads are stopped, and nothing may fault
 *
 * A dry run pins no pages, so a page may be reclaimed between the first check and the window. Its
 * bytes were right then and will not be written, so the check in the window skips it.
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
 * Pins the pages of all places. mmap_lock held. Return: 0; or a refusal, or -EFAULT if a page has
 * to be faulted in first, with nothing pinned.
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

/* Saves in the record the bytes under the patch. */
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
 * lpatch_places_note() - update the records after the write
 * @places: the places that were written
 * @op: an apply or a restore; its record changes, too
 *
 * The records change in the same window as the memory. A fork waits for the mmap_lock, so it copies
 * either both changes or none.
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
