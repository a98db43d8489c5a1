// SPDX-License-Identifier: GPL-2.0
/*
 * The build-id of an image: its addresses and the bytes at its sites are those of one build, and a file that
 * happens to have the same bytes there is another program. The kernel's build_id_parse() reads it too, but from the
 * mapping of a process, and modules cannot call it.
 *
 * Whatever the file claims to be, what is read of it is bounded, and pkg/lpelf (head.go) reads as much.
 */

#include <linux/elf.h>
#include <linux/fs.h>
#include <linux/highmem.h>
#include <linux/magic.h>
#include <linux/pagemap.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "build_id.h"
#include "patch.h"

/* execve() starts no program with more headers (load_elf_phdrs()). */
#define LP_PROGS_MAX (64U << 10)

/* Bytes of all notes. */
#define LP_NOTES_MAX (64U << 10)

/* NT_GNU_BUILD_ID of elf.h, which the kernel has not. */
#define LP_NOTE_BUILD_ID 3

static const u8 lp_note_name[] = "GNU";

/*
 * The page cache of an image, which is what processes map, or NULL where it is to be read as by read(2). On some file
 * systems that takes a lock which whoever writes to the file may keep for ever; a page fault does not, and neither does
 * the page cache. With DAX there is none, and files in memory have no way to fill theirs, nor that lock. In an overlay
 * the file is not one of the real inode, and file systems without a device may want one of theirs, as FUSE does.
 */
static struct address_space *lp_page_cache(const struct lp_image *image)
{
	struct address_space *mapping = image->inode->i_mapping;

	if (!mapping->a_ops->read_folio || IS_DAX(image->inode))
		return NULL;
	if (file_inode(image->file) == image->inode)
		return mapping;
	if (!(image->inode->i_sb->s_type->fs_flags & FS_REQUIRES_DEV) ||
	    image->inode->i_sb->s_magic == FUSE_SUPER_MAGIC)
		return NULL;
	return mapping;
}

/* Copies @len bytes at @pos, all in one page. Return: 0 or a negative errno. */
static int lp_copy_cached(const struct lp_image *image, struct address_space *mapping, void *to, size_t len,
			  loff_t pos)
{
	struct file *file = file_inode(image->file) == image->inode ? image->file : NULL;
	struct folio *folio;
	void *from;

	filemap_invalidate_lock_shared(mapping);
	folio = read_cache_folio(mapping, pos >> PAGE_SHIFT, NULL, file);
	filemap_invalidate_unlock_shared(mapping);
	if (IS_ERR(folio))
		return PTR_ERR(folio);
	from = kmap_local_folio(folio, offset_in_folio(folio, pos));
	memcpy(to, from, len);
	kunmap_local(from);
	folio_put(folio);
	return 0;
}

/* Return: 0 or a negative errno. */
static int lp_copy(const struct lp_image *image, u8 *to, size_t len, loff_t pos)
{
	struct address_space *mapping = lp_page_cache(image);
	int ret = 0;

	if (!mapping) {
		ssize_t got = kernel_read(image->file, to, len, &pos);

		return got == len ? 0 : got < 0 ? got : -ENODATA;
	}
	while (!ret && len) {
		size_t part = min(len, PAGE_SIZE - offset_in_page(pos));

		ret = lp_copy_cached(image, mapping, to, part, pos);
		to += part;
		pos += part;
		len -= part;
	}
	return ret;
}

/* Reads @len bytes at @at, to be freed, or returns an error pointer; -ENODATA if the file ends before. */
static void *lp_read(const struct lp_image *image, u64 at, size_t len)
{
	u64 size = i_size_read(image->inode);
	void *buf;
	int ret;

	/* Of this kernel_read() would warn. */
	if (!(image->file->f_mode & FMODE_READ))
		return ERR_PTR(-EBADF);
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

/* Finds the build-id among notes. Return: how long it is, 0 if it is not there. */
static size_t lp_find_note(const u8 *notes, u64 len, u64 align, const u8 **id)
{
	const u64 pad = align == 8 ? 8 : 4;

	while (len >= sizeof(Elf64_Nhdr)) {
		const Elf64_Nhdr *note = (const void *)notes;
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

/* Return: 1 if the notes of one segment have this build-id, 0 if they have none, or a negative errno. */
static int lp_compare_notes(const struct lp_image *image, const Elf64_Phdr *prog)
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

/* Reads the program headers, to be freed, or returns an error pointer; -ENODATA if it is no ELF file with some. */
static const Elf64_Phdr *lp_read_progs(const struct lp_image *image, unsigned int *nr)
{
	const Elf64_Ehdr *head = lp_read(image, 0, sizeof(*head));
	const Elf64_Phdr *progs = ERR_PTR(-ENODATA);

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
 * lpatch_build_id_check() - is the file of an image the build that the patch is for?
 * @image: with its file, its inode, and the build-id that it must have
 *
 * Context: may sleep for as long as the file system does.
 * Return: 0, -ENODATA if it has another or none, -ENOMEM, or what reading it returned.
 */
int lpatch_build_id_check(const struct lp_image *image)
{
	u64 left = LP_NOTES_MAX;
	const Elf64_Phdr *progs;
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
