/* SPDX-License-Identifier: GPL-2.0 */
#ifndef LPATCH_LINEAGE_H
#define LPATCH_LINEAGE_H

struct mm_struct;
struct task_struct;

void lpatch_lineage_copied(struct mm_struct *old, struct mm_struct *new);
void lpatch_lineage_born(struct task_struct *task);
void lpatch_lineage_ended(struct mm_struct *mm);

#endif
