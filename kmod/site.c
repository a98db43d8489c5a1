// SPDX-License-Identifier: GPL-2.0
/*
 * Access to bytes in another mm, which the mm itself may have mapped read-only. FOLL_FORCE on a
 * private mapping breaks copy-on-write: the file and other processes keep their bytes. No page
 * protection changes, so sealed mappings (mseal) can be patched.
 */

#include <linux/highmem.h>
#include <linux/mm.h>
#include <linux/uaccess.h>

#include "compat.h"
#include "site.h"

/* How often a page may be reclaimed between the fault and the pin. */
#define LP_POKE_TRIES 16

static unsigned int lp_place_nr_pages(const struct lp_place *place)
{
	return offset_in_page(place->addr) + place->len > PAGE_SIZE ? 2 : 1;
}

/**
 * lpatch_place_fault_in() - fault in the pages of a place
 * @mm: the target
 * @place: with addr and len
 * @write: also make the pages private to the target and writable
 *
 * Context: takes mmap_lock, and drops it to wait. The wait may last forever if the page is handled
 * by userfaultfd, or by a file system whose server does not answer; SIGKILL interrupts it.
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
 * A target that forks all the time shares its pages again before they can be pinned. So pages that
 * are in memory are made private here. This never waits for a page: FOLL_NOWAIT covers a page that
 * is reclaimed just now.
 *
 * Context: mmap_lock held for read.
 * Return: 0, or a negative errno with nothing pinned: -EFAULT if lpatch_place_fault_in() has to be
 * called first, perhaps again.
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

/* Does nothing if the place is not pinned. */
void lpatch_place_unpin(struct lp_place *place)
{
	if (!place->pages[0])
		return;
	unpin_user_pages_dirty_lock(place->pages, lp_place_nr_pages(place), true);
	memset(place->pages, 0, sizeof(place->pages));
}

/**
 * lpatch_place_read() - read the bytes at a place through the current address space
 * @place: with addr and len
 * @found: len bytes are written to it
 *
 * Context: a kthread that uses the target's mm, or a thread of the target. Does not fault.
 * Return: 0, or -EFAULT if the page is not in memory.
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

/*
 * Writes the bytes of a place. Cannot fail. The place is pinned or has no bytes, and no thread of
 * the target executes user instructions.
 */
void lpatch_place_write(const struct lp_place *place)
{
	lp_copy_to_pages((struct page **)place->pages, place->addr, place->to, place->len);
}

/**
 * lpatch_peek() - read from another mm
 * @mm: the target
 * @addr: user address
 * @bytes: buffer
 * @len: at most LPATCH_SITE_MAX
 * @fetch: start to read in a missing page, without waiting for it
 *
 * Does not pin the pages: a fork would then copy a pinned page instead of sharing it.
 *
 * Context: mmap_lock held for read.
 * Return: 0; -EAGAIN if a page is being read in; -EFAULT if it is not in memory or not mapped.
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
 * lpatch_poke() - write to a mapping that no thread uses yet
 * @mm: the target
 * @place: with addr, len and to
 * @own: checks that the place is still in the intended mapping; called before the page is pinned
 * @arg: passed to @own
 *
 * Context: process; takes mmap_lock for read; SIGKILL interrupts it.
 * Return: 0, -ESTALE if @own returns false, or another negative errno.
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
