// SPDX-License-Identifier: GPL-2.0
/*
 * Checks the build-id of an image. The addresses and the bytes of the sites in a patch belong to
 * one build; another build may happen to have the same bytes there. The kernel's build_id_parse()
 * reads a build-id too, but only from a mapping of a process, and it is not exported.
 *
 * The amount of data read is bounded, whatever the file headers claim. pkg/lpelf (head.go) has the
 * same limits.
 */

#include <linux/elf.h>
#include <linux/fs.h>
#include <linux/highmem.h>
#include <linux/mm.h>
#include <linux/mman.h>
#include <linux/pagemap.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/uaccess.h>

#include "build_id.h"
#include "compat.h"
#include "patch.h"

/* execve() refuses programs with more program headers (load_elf_phdrs()). */
#define LP_PROGS_MAX (64U << 10)

/* Total size of the notes, in bytes. */
#define LP_NOTES_MAX (64U << 10)

/* NT_GNU_BUILD_ID of elf.h, which the kernel lacks. */
#define LP_NOTE_BUILD_ID 3

static const u8 lp_note_name[] = "GNU";

/* How often a page may be reclaimed between the fault and the lookup. */
#define LP_TAKE_TRIES 100

/*
 * Gets the page of an image that is mapped at @addr, file offset @pos. Other threads may map
 * something else there, and a debugger may write to the page; only a page of the file itself is
 * returned.
 *
 * Return: the page, referenced, or an error pointer; -EAGAIN if no page is present.
 */
static struct page *lp_take_page(const struct lp_image *image, unsigned long addr, u64 pos)
{
	struct mm_struct *mm = current->mm;
	struct page *page = ERR_PTR(-EFAULT);
	struct vm_area_struct *vma;

	if (mmap_read_lock_killable(mm))
		return ERR_PTR(-EINTR);
	vma = vma_lookup(mm, addr);
	if (vma && vma->vm_file && file_inode(vma->vm_file) == image->inode &&
	    addr - vma->vm_start + ((u64)vma->vm_pgoff << PAGE_SHIFT) == pos) {
		if (lp_get_user_pages(mm, addr, 1, FOLL_NOFAULT, &page, NULL) != 1) {
			page = ERR_PTR(-EAGAIN);
		} else if (PageAnon(page)) {
			put_page(page);
			page = ERR_PTR(-EFAULT);
		}
	}
	mmap_read_unlock(mm);
	return page;
}

/*
 * Copies @len bytes at file offset @pos, all in one page, which is mapped at @addr. Return: 0 or a
 * negative errno.
 */
static int lp_copy_part(const struct lp_image *image, void *to, size_t len, unsigned long addr, u64 pos)
{
	const size_t skip = offset_in_page(pos);
	unsigned int tries = LP_TAKE_TRIES;
	struct page *page;
	u8 byte;

	do {
		/* Fault the page in. A fatal signal interrupts the fault. */
		if (copy_from_user(&byte, (const void __user *)addr, sizeof(byte)))
			return -EFAULT;
		page = lp_take_page(image, addr, pos - skip);
	} while (page == ERR_PTR(-EAGAIN) && --tries);
	if (IS_ERR(page))
		return PTR_ERR(page);
	memcpy_from_page(to, page, skip, len);
	put_page(page);
	return 0;
}

/*
 * Copies @len bytes at file offset @pos through a temporary mapping of the file. read(2) would not
 * do: on some file systems it takes a lock that a writer may hold forever, or waits for a server
 * that does not answer. A page fault takes no such lock, and a fatal signal interrupts it.
 *
 * Return: 0 or a negative errno; -EFAULT if a page cannot be faulted in.
 */
static int lp_copy(const struct lp_image *image, void *to, size_t len, u64 pos)
{
	unsigned long skip = offset_in_page(pos), size = PAGE_ALIGN(skip + len), at;
	size_t done, part;
	int ret = 0;

	at = vm_mmap(image->file, 0, size, PROT_READ, MAP_PRIVATE, pos - skip);
	if (IS_ERR_VALUE(at))
		return (long)at;
	for (done = 0; !ret && done < len; done += part) {
		part = min_t(size_t, len - done, PAGE_SIZE - offset_in_page(pos + done));
		ret = lp_copy_part(image, to + done, part, (at + skip + done) & PAGE_MASK, pos + done);
	}
	vm_munmap(at, size);
	return ret;
}

/*
 * Reads @len bytes at file offset @at. Return: a buffer for kvfree(), or an error pointer; -ENODATA
 * if the file is too short.
 */
static void *lp_read(const struct lp_image *image, u64 at, size_t len)
{
	u64 size = i_size_read(image->inode);
	void *buf;
	int ret;

	if (at > size || len > size - at)
		return ERR_PTR(-ENODATA);
	buf = kvmalloc(len, GFP_KERNEL);
	if (!buf)
		return ERR_PTR(-ENOMEM);
	ret = lp_copy(image, buf, len, at);
	if (!ret)
		return buf;
	kvfree(buf);
	return ERR_PTR(ret);
}

/* Finds the build-id among notes. Return: its length in bytes, 0 if there is none. */
static size_t lp_find_note(const u8 *notes, u64 len, u64 align, const u8 **id)
{
	const u64 pad = align == 8 ? 8 : 4;

	while (len >= sizeof(struct elf64_note)) {
		const struct elf64_note *note = (const void *)notes;
		u64 desc = ALIGN(sizeof(*note) + note->n_namesz, pad);
		u64 end = desc + note->n_descsz, next = ALIGN(end, pad);

		if (end > len)
			return 0;
		*id = notes + desc;
		if (note->n_type == LP_NOTE_BUILD_ID && note->n_namesz == sizeof(lp_note_name) &&
		    note->n_descsz && note->n_descsz <= LPATCH_BUILD_ID_MAX &&
		    !memcmp(note + 1, lp_note_name, sizeof(lp_note_name)))
			return note->n_descsz;
		if (next > len)
			return 0;
		notes += next;
		len -= next;
	}
	return 0;
}

/*
 * Compares the notes of one segment. Return: 1 if they have the build-id, 0 if they have none, or a
 * negative errno.
 */
static int lp_compare_notes(const struct lp_image *image, const struct elf64_phdr *prog)
{
	const u8 *notes = lp_read(image, prog->p_offset, prog->p_filesz), *id;
	size_t found;
	int ret = 0;

	if (IS_ERR(notes))
		return PTR_ERR(notes);
	found = lp_find_note(notes, prog->p_filesz, prog->p_align, &id);
	if (found)
		ret = found == image->build_id_len && !memcmp(id, image->build_id, found) ? 1 : -ENODATA;
	kvfree(notes);
	return ret;
}

/*
 * Reads the program headers. Return: a buffer for kvfree(), or an error pointer; -ENODATA if the
 * file is not a 64-bit ELF file with program headers.
 */
static const struct elf64_phdr *lp_read_progs(const struct lp_image *image, unsigned int *nr)
{
	const struct elf64_hdr *head = lp_read(image, 0, sizeof(*head));
	const struct elf64_phdr *progs = ERR_PTR(-ENODATA);

	if (IS_ERR(head))
		return ERR_CAST(head);
	*nr = head->e_phnum;
	if (!memcmp(head->e_ident, ELFMAG, SELFMAG) && head->e_ident[EI_CLASS] == ELFCLASS64 &&
	    head->e_phentsize == sizeof(*progs) && *nr && *nr <= LP_PROGS_MAX / sizeof(*progs))
		progs = lp_read(image, head->e_phoff, *nr * sizeof(*progs));
	kvfree(head);
	return progs;
}

/**
 * lpatch_build_id_check() - is the file of an image the build that the patch was made for?
 * @image: with its file, its inode, and the build-id that the file must have
 *
 * Context: process; maps the file into the memory of current temporarily. Takes the mmap_lock of
 * current inside lp_patch.transfer.
 * Return: 0, -ENODATA if the build-id differs or is missing, -ENOMEM, or an error from reading the
 * file.
 */
int lpatch_build_id_check(const struct lp_image *image)
{
	u64 left = LP_NOTES_MAX;
	const struct elf64_phdr *progs;
	unsigned int i, nr;
	int ret = 0;

	progs = lp_read_progs(image, &nr);
	if (IS_ERR(progs))
		return PTR_ERR(progs);
	for (i = 0; !ret && i < nr; i++) {
		if (progs[i].p_type != PT_NOTE || !progs[i].p_filesz)
			continue;
		if (progs[i].p_filesz > left)
			break;
		left -= progs[i].p_filesz;
		ret = lp_compare_notes(image, &progs[i]);
	}
	kvfree(progs);
	return ret > 0 ? 0 : ret ?: -ENODATA;
}
