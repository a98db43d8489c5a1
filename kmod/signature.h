/* SPDX-License-Identifier: GPL-2.0 */
#ifndef LPATCH_SIGNATURE_H
#define LPATCH_SIGNATURE_H

#include <linux/errno.h>
#include <linux/types.h>

struct lp_patch;

#ifdef CONFIG_SYSTEM_DATA_VERIFICATION

int lpatch_signature_init(void);
void lpatch_signature_exit(void);
u32 lpatch_signature_keyring(void);
int lpatch_signature_verify(struct lp_patch *patch);

#else

static inline int lpatch_signature_init(void)
{
	return 0;
}

static inline void lpatch_signature_exit(void)
{
}

/* There is none. */
static inline u32 lpatch_signature_keyring(void)
{
	return 0;
}

static inline int lpatch_signature_verify(struct lp_patch *patch)
{
	return -EOPNOTSUPP;
}

#endif
#endif
