/* SPDX-License-Identifier: GPL-2.0 */
#ifndef LPATCH_START_H
#define LPATCH_START_H

struct lp_boot;

void lp_start_look_later(struct lp_boot *boot);

#endif
