/* SPDX-License-Identifier: GPL-2.0 */
#ifndef LPATCH_THREADS_H
#define LPATCH_THREADS_H

#include <linux/types.h>

struct lp_freeze;
struct lp_scan;

void lpatch_threads_prescan(struct lp_scan *s, struct lp_freeze *f, u64 until);
int lpatch_threads_check(struct lp_scan *s, struct lp_freeze *f);

#endif
