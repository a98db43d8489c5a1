/* SPDX-License-Identifier: GPL-2.0 */
#ifndef LPATCH_START_H
#define LPATCH_START_H

struct vm_area_struct;

void lpatch_start_mapped(struct vm_area_struct *vma);

#endif
