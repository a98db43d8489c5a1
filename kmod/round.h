/* SPDX-License-Identifier: GPL-2.0 */
#ifndef LPATCH_ROUND_H
#define LPATCH_ROUND_H

struct mm_struct;

void lpatch_round_stop(const struct mm_struct *mm);
void lpatch_round_sync(const struct mm_struct *mm);

#endif
