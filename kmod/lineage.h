/* SPDX-License-Identifier: GPL-2.0 */
#ifndef LPATCH_LINEAGE_H
#define LPATCH_LINEAGE_H

struct mm_struct;
struct task_struct;

void lp_lineage_copied(struct mm_struct *old, struct mm_struct *new);
void lp_lineage_born(struct task_struct *task);
void lp_lineage_ended(struct mm_struct *mm);

#endif
