// SPDX-License-Identifier: GPL-2.0
/*
 * Bytes in another mm that is not writable for its owner. FOLL_FORCE on a private mapping breaks
 * copy-on-write: the file and other processes keep what they have. No page protection changes, so
 * sealed mappings (mseal) are no obstacle.
 */

#include <linux/highmem.h>
#include <linux/mm.h>
#include <linux/uaccess.h>

#include "compat.h"
#include "site.h"

/* How often a page may go between the fault and the pin. */
#define LP_POKE_TRIES 16

static unsigned int lp_place_nr_pages(const struct lp_place *place)
{
	return offset_in_page(place->addr) + place->len > PAGE_SIZE ? 2 : 1;
}

/**
 * lpatch_place_fault_in() - have the pages of a place in memory
 * @mm: the target
 * @place: with addr and len
 * @write: and private to the target, ready to be written to
 *
 * Context: takes mmap_lock, and lets go of it to wait. That takes for ever if the page is one of
 * userfaultfd or of a file system of which the server does not answer; SIGKILL ends it.
 * Return: 0 or a negative errno.
 */
int lpatch_place_fault_in(struct mm_struct *mm, const struct lp_place *place, bool write)
{
	unsigned int nr = lp_place_nr_pages(place);
	unsigned int flags = FOLL_FORCE | (write ? FOLL_WRITE : 0);
	struct page *pages[2];
	int locked = 1;
	long got, i;

	if (!place->len)
		return 0;
	if (mmap_read_lock_killable(mm))
		return -EINTR;
	got = lp_get_user_pages(mm, place->addr & PAGE_MASK, nr, flags, pages, &locked);
	if (locked)
		mmap_read_unlock(mm);
	for (i = 0; i < got; i++)
		put_page(pages[i]);
	if (got == nr)
		return 0;
	return got < 0 ? got : -EFAULT;
}

static bool lp_place_in_memory(struct mm_struct *mm, const struct lp_place *place)
{
	unsigned int nr = lp_place_nr_pages(place);
	struct page *pages[2];
	long got, i;

	got = lp_get_user_pages(mm, place->addr & PAGE_MASK, nr, FOLL_FORCE | FOLL_NOFAULT, pages, NULL);
	for (i = 0; i < got; i++)
		put_page(pages[i]);
	return got == nr;
}

static int lp_place_pin_with(struct mm_struct *mm, struct lp_place *place, unsigned int flags)
{
	unsigned int nr = lp_place_nr_pages(place);
	long got = lp_pin_user_pages(mm, place->addr & PAGE_MASK, nr,
				     FOLL_WRITE | FOLL_FORCE | flags, place->pages);

	if (got == nr)
		return 0;
	if (got == 1)
		unpin_user_page(place->pages[0]);
	memset(place->pages, 0, sizeof(place->pages));
	return got < 0 ? got : -EFAULT;
}

/**
 * lpatch_place_pin() - pin the pages of a place
 * @mm: the target
 * @place: with addr and len
 *
 * A target that forks all the time shares its pages again sooner than they can be pinned: those that
 * are in memory are made private here. That waits for nobody, FOLL_NOWAIT sees to it should one of
 * them go at this very moment.
 *
 * Context: mmap_lock held for read.
 * Return: 0, or a negative errno with nothing pinned: -EFAULT if lpatch_place_fault_in() has to be called
 * first, again perhaps.
 */
int lpatch_place_pin(struct mm_struct *mm, struct lp_place *place)
{
	int ret;

	if (!place->len)
		return 0;
	ret = lp_place_pin_with(mm, place, FOLL_NOFAULT);
	if (ret == -EFAULT && lp_place_in_memory(mm, place))
		ret = lp_place_pin_with(mm, place, FOLL_NOWAIT);
	return ret;
}

/* Nothing happens to a place that is not pinned. */
void lpatch_place_unpin(struct lp_place *place)
{
	if (!place->pages[0])
		return;
	unpin_user_pages_dirty_lock(place->pages, lp_place_nr_pages(place), true);
	memset(place->pages, 0, sizeof(place->pages));
}

/**
 * lpatch_place_read() - read what is at a place now, through the target's own mapping
 * @place: with addr and len
 * @found: gets len bytes
 *
 * Context: a kthread that uses the target's mm. Does not fault.
 * Return: 0, or -EFAULT if the page is not there.
 */
int lpatch_place_read(const struct lp_place *place, u8 *found)
{
	return copy_from_user_nofault(found, (const void __user *)place->addr, place->len) ?
		       -EFAULT :
		       0;
}

static void lp_copy_to_pages(struct page **pages, unsigned long addr, const void *bytes, size_t len)
{
	size_t first = min_t(size_t, len, PAGE_SIZE - offset_in_page(addr));
	char *to;

	if (!len)
		return;
	to = kmap_local_page(pages[0]);
	memcpy(to + offset_in_page(addr), bytes, first);
	kunmap_local(to);
	if (first == len)
		return;
	to = kmap_local_page(pages[1]);
	memcpy(to, bytes + first, len - first);
	kunmap_local(to);
}

/* Cannot fail. The place is pinned, or has no bytes, and no thread of the target executes user instructions. */
void lpatch_place_write(const struct lp_place *place)
{
	lp_copy_to_pages((struct page **)place->pages, place->addr, place->to, place->len);
}

/**
 * lpatch_peek() - read from another mm
 * @mm: the target
 * @addr: where
 * @bytes: gets them
 * @len: at most LPATCH_SITE_MAX
 * @fetch: have a page that is not there brought, without waiting for it
 *
 * The pages are not pinned: that would give a child its own copy of a page that it shares.
 *
 * Context: mmap_lock held for read.
 * Return: 0; -EAGAIN if a page is being brought; -EFAULT if it is not there, or there is none.
 */
int lpatch_peek(struct mm_struct *mm, unsigned long addr, void *bytes, size_t len, bool fetch)
{
	unsigned int flags = FOLL_FORCE | (fetch ? FOLL_NOWAIT : FOLL_NOFAULT);

	while (len) {
		size_t part = min_t(size_t, len, PAGE_SIZE - offset_in_page(addr));
		struct page *page;
		char *from;
		long got;

		got = lp_get_user_pages(mm, addr & PAGE_MASK, 1, flags, &page, NULL);
		if (got != 1)
			return got || !fetch ? -EFAULT : -EAGAIN;
		from = kmap_local_page(page);
		memcpy(bytes, from + offset_in_page(addr), part);
		kunmap_local(from);
		put_page(page);
		addr += part;
		bytes += part;
		len -= part;
	}
	return 0;
}

/**
 * lpatch_poke() - write to a mapping that nobody uses yet
 * @mm: the target
 * @place: with addr, len and to
 * @own: is it still in the mapping that is meant? Asked when the page is pinned
 * @arg: for @own
 *
 * Context: process; takes mmap_lock for read; SIGKILL ends it.
 * Return: 0, -ESTALE if @own says no, or another negative errno.
 */
int lpatch_poke(struct mm_struct *mm, struct lp_place *place,
		bool (*own)(const struct lp_place *place, const void *arg), const void *arg)
{
	unsigned int tries = LP_POKE_TRIES;
	int ret;

	do {
		ret = lpatch_place_fault_in(mm, place, true);
		if (ret)
			return ret;
		if (mmap_read_lock_killable(mm))
			return -EINTR;
		ret = own(place, arg) ? lpatch_place_pin(mm, place) : -ESTALE;
		mmap_read_unlock(mm);
	} while (ret == -EFAULT && --tries);
	if (ret)
		return ret;
	lpatch_place_write(place);
	lpatch_place_unpin(place);
	return 0;
}
