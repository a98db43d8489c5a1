/* SPDX-License-Identifier: GPL-2.0 */
#ifndef LPATCH_KEYS_H
#define LPATCH_KEYS_H

#include <linux/errno.h>
#include <linux/types.h>

struct key;

#ifdef CONFIG_SYSTEM_DATA_VERIFICATION

int lpatch_keys_init(void);
void lpatch_keys_exit(void);
struct key *lpatch_keys_ring(void);
bool lpatch_keys_empty(void);
bool lpatch_keys_count(void);
int lpatch_keys_why_not(const u8 *serial, size_t serial_len, const u8 *issuer, size_t issuer_len);
u32 lpatch_keys_serial(void);
int lpatch_keys_add(const void *cert, size_t len, u64 expires);
int lpatch_keys_revoke(const void *cert, size_t len);
int lpatch_keys_lock(void);

#else

static inline int lpatch_keys_init(void)
{
	return 0;
}

static inline void lpatch_keys_exit(void)
{
}

/* no keyring */
static inline u32 lpatch_keys_serial(void)
{
	return 0;
}

static inline int lpatch_keys_add(const void *cert, size_t len, u64 expires)
{
	return -EOPNOTSUPP;
}

static inline int lpatch_keys_revoke(const void *cert, size_t len)
{
	return -EOPNOTSUPP;
}

static inline int lpatch_keys_lock(void)
{
	return -EOPNOTSUPP;
}

#endif
#endif
