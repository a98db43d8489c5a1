/* SPDX-License-Identifier: GPL-2.0 */
#ifndef LPATCH_SUM_H
#define LPATCH_SUM_H

#include <linux/errno.h>
#include <linux/types.h>

struct file;
struct lp_patch;

/* Length of a SHA-256 in bytes. */
#define LP_SUM_LEN 32

/* Largest size of a file that is read as a whole, in bytes. */
#define LP_SUM_FILE_MAX (256ULL << 20)

#ifdef CONFIG_SYSTEM_DATA_VERIFICATION

int lpatch_sum_file(struct file *file, loff_t len, u8 *out);
int lpatch_sum_tables(const struct lp_patch *patch, u8 *out);

#else

static inline int lpatch_sum_file(struct file *file, loff_t len, u8 *out)
{
	return -ENOENT; /* as if the algorithm were missing */
}

#endif

#endif
