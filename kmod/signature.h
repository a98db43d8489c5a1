/* SPDX-License-Identifier: GPL-2.0 */
#ifndef LPATCH_SIGNATURE_H
#define LPATCH_SIGNATURE_H

#include <linux/errno.h>

struct lp_patch;
struct lp_signature;

#ifdef CONFIG_SYSTEM_DATA_VERIFICATION

int lpatch_signature_verify(struct lp_patch *patch);
int lpatch_signature_again(const struct lp_patch *patch);
void lpatch_signature_free(struct lp_signature *signature);

#else

static inline int lpatch_signature_verify(struct lp_patch *patch)
{
	return -EOPNOTSUPP;
}

static inline int lpatch_signature_again(const struct lp_patch *patch)
{
	return -EOPNOTSUPP;
}

static inline void lpatch_signature_free(struct lp_signature *signature)
{
}

#endif
#endif
