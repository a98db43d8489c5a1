/* SPDX-License-Identifier: GPL-2.0 */
#ifndef LPATCH_SIGN_H
#define LPATCH_SIGN_H

#include <linux/types.h>

struct lp_patch;

bool lp_sign_required(void);
bool lp_sign_permits(const struct lp_patch *patch);
int lp_sign_check(struct lp_patch *patch, const char **wrong);

#endif
