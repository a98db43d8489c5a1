/* SPDX-License-Identifier: GPL-2.0 */
#ifndef LPATCH_SIGN_H
#define LPATCH_SIGN_H

#include <linux/types.h>

struct lp_patch;

const char *lpatch_sign_objection(const struct lp_patch *patch);
int lpatch_sign_check(struct lp_patch *patch, const char **wrong);

#endif
