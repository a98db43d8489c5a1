/* SPDX-License-Identifier: GPL-2.0 */
#ifndef LPATCH_HISTORY_H
#define LPATCH_HISTORY_H

#include <linux/types.h>

struct inode;
struct mm_struct;

u64 lpatch_history_begin(void);
bool lpatch_history_is_known(const struct mm_struct *mm, u64 since);
bool lpatch_history_first(const struct mm_struct *mm, const struct inode *inode);
void lpatch_history_copied(const struct mm_struct *old, const struct mm_struct *new);
void lpatch_history_ended(const struct mm_struct *mm);
void lpatch_history_forget(void);

#endif
