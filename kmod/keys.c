// SPDX-License-Identifier: GPL-2.0
/*
 * The keyring .lpatch: the certificates whose keys may sign patches. It is the module's own: root may look at
 * it, and change it by requests to the module only. With keyctl() it can neither write to it nor restrict it,
 * nor change the owner, permissions or time of a key in it, nor put another keyring in it.
 *
 * Where signatures are required (lpatch_sign_required()), who may not bring code may not bring a key for it
 * either. So a key that nobody vouched for counts there only if it was put in, and the keyring was locked,
 * before they were. Neither the kernel's lockdown nor the parameter is ever taken back, so "before" is that
 * they were not required when it was locked. Afterwards only what the kernel's own keys vouch for comes in.
 */

#include <linux/assoc_array.h>
#include <linux/cred.h>
#include <linux/key.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/rculist.h>
#include <linux/slab.h>
#include <linux/timekeeping.h>
#include <keys/asymmetric-type.h>

#include "audit.h"
#include "der.h"
#include "keys.h"
#include "require.h"

/**
 * struct lp_key - a certificate that was put into the keyring
 * @node: in lp_keys, which is added to under lp_keys_mutex and read under that or by lpatch_keys_why_not()
 * @key: referenced
 * @tbs: the part of @cert that is signed, by which it is known again
 * @tbs_len: bytes of @tbs
 * @len: bytes of @cert
 * @cert: in DER
 */
struct lp_key {
	struct list_head node;
	struct key *key;
	const u8 *tbs;
	size_t tbs_len;
	size_t len;
	u8 cert[];
};

static struct key *lp_ring;
/* Takes what the kernel's own keys vouch for, and is empty: only its restriction is used. */
static struct key *lp_vouched;

/*
 * Covers who adds to the list, from which nothing is taken before the module goes, and who writes the two flags; orders
 * what comes in and the lock. Held while the kernel parses a certificate, for which it may start modprobe: nobody takes
 * it who only verifies, as the start of modprobe does.
 */
static DEFINE_MUTEX(lp_keys_mutex);
static LIST_HEAD(lp_keys);
/* It takes no more keys. */
static bool lp_keys_locked;
/* There is a key in it that nobody vouched for. */
static bool lp_keys_open;

/* Called for each key that is put in, by whomever; see struct key_restriction. */
static int lp_keys_check(struct key *ring, const struct key_type *type, const union key_payload *payload,
			 struct key *unused)
{
	const struct key_restriction *vouched = lp_vouched->restrict_link;
	int ret;

	lockdep_assert_held(&lp_keys_mutex);
	if (type != &key_type_asymmetric)
		return -EOPNOTSUPP;
	if (!lpatch_sign_required()) {
		WRITE_ONCE(lp_keys_open, true);
		smp_wmb(); /* before the key can be found: see lpatch_keys_count() */
		return 0;
	}
	ret = vouched->check(ring, type, payload, vouched->key);
	return ret && ret != -ENOMEM ? -ENOKEY : ret;
}

/* The keyring that signatures are verified with. */
struct key *lpatch_keys_ring(void)
{
	return lp_ring;
}

/* Is there no key at all? Then nobody uses signatures. */
bool lpatch_keys_empty(void)
{
	return !READ_ONCE(lp_ring->keys.nr_leaves_on_tree);
}

/*
 * May a signature stand for a patch by a key that was found in the keyring? See above. Who sees the keyring locked a
 * moment late finds that it may not, no more.
 */
bool lpatch_keys_count(void)
{
	smp_rmb(); /* the key was found before: see lp_keys_check() */
	return READ_ONCE(lp_keys_locked) || !READ_ONCE(lp_keys_open) || !lpatch_sign_required();
}

/* Does the kernel know a key by these two, one after the other (asymmetric_key_generate_id())? */
static bool lp_key_is(const struct key *key, const u8 *first, size_t first_len, const u8 *second, size_t second_len)
{
	const struct asymmetric_key_ids *ids = asymmetric_key_ids(key);
	int i;

	for (i = 0; ids && i < ARRAY_SIZE(ids->id); i++) {
		const struct asymmetric_key_id *id = ids->id[i];

		if (id && id->len == first_len + second_len && !memcmp(id->data, first, first_len) &&
		    !memcmp(id->data + first_len, second, second_len))
			return true;
	}
	return false;
}

/**
 * lpatch_keys_why_not() - why is a key not trusted, with which a signature was to be verified?
 * @serial: number of its certificate, the content of the INTEGER, or its key identifier
 * @serial_len: bytes of @serial
 * @issuer: of its certificate, the content of the Name; with an identifier, nothing
 * @issuer_len: bytes of @issuer
 *
 * Context: any; takes no lock, see lp_keys_mutex.
 * Return: -EKEYREVOKED, -EKEYEXPIRED, or -ENOKEY.
 */
int lpatch_keys_why_not(const u8 *serial, size_t serial_len, const u8 *issuer, size_t issuer_len)
{
	const struct lp_key *at;
	int ret = -ENOKEY;

	list_for_each_entry_rcu(at, &lp_keys, node, true) {
		if (!lp_key_is(at->key, serial, serial_len, issuer, issuer_len))
			continue;
		if (test_bit(KEY_FLAG_REVOKED, &at->key->flags))
			return -EKEYREVOKED;
		if (READ_ONCE(at->key->expiry) <= ktime_get_real_seconds())
			ret = -EKEYEXPIRED;
	}
	return ret;
}

/* The serial number of the keyring. */
u32 lpatch_keys_serial(void)
{
	return key_serial(lp_ring);
}

/* lp_keys_mutex held. @seconds: how long it is trusted. */
static int lp_keys_create(struct lp_key *new, unsigned int seconds)
{
	bool open = lp_keys_open;
	key_ref_t ref;

	/* Possessed, so that the module may write to the keyring, and nobody else. */
	ref = key_create_or_update(make_key_ref(lp_ring, true), "asymmetric", NULL, new->cert, new->len,
				   KEY_POS_VIEW | KEY_POS_SEARCH | KEY_USR_VIEW, KEY_ALLOC_NOT_IN_QUOTA);
	if (IS_ERR(ref)) {
		WRITE_ONCE(lp_keys_open, open); /* nothing came in */
		return PTR_ERR(ref);
	}
	new->key = key_ref_to_ptr(ref);
	key_set_timeout(new->key, seconds);
	/* All of it is there for who finds it: the partner is list_for_each_entry_rcu() in lpatch_keys_why_not(). */
	list_add_rcu(&new->node, &lp_keys);
	return 0;
}

/*
 * Finds what of a certificate is signed (TBSCertificate of RFC 5280, with its header). The rest may have other bytes,
 * and the kernel's parser still takes it, without anybody who signs it anew.
 * Return: where it is, with its length in @tbs_len, or NULL if that is no certificate.
 */
static const u8 *lp_keys_tbs(const u8 *cert, size_t len, size_t *tbs_len)
{
	const u8 *at = cert, *end = cert + len, *tbs;

	if (!lp_der_enter_all(&at, end, LP_DER_SEQUENCE))
		return NULL;
	tbs = at;
	if (!lp_der_skip(&at, end, LP_DER_SEQUENCE))
		return NULL;
	*tbs_len = at - tbs;
	return tbs;
}

/* lp_keys_mutex held. Return: the certificate with this signed part, if it was put in before, or NULL. */
static struct lp_key *lp_keys_find(const u8 *tbs, size_t tbs_len)
{
	struct lp_key *at;

	list_for_each_entry(at, &lp_keys, node)
		if (at->tbs_len == tbs_len && !memcmp(at->tbs, tbs, tbs_len))
			return at;
	return NULL;
}

/* May it be put in? What was revoked does not come back. lp_keys_mutex held. Return: 0 or a negative errno. */
static int lp_keys_take(const struct lp_key *new)
{
	const struct lp_key *known = lp_keys_find(new->tbs, new->tbs_len);

	if (lp_keys_locked)
		return -EROFS;
	if (lp_keys_open && lpatch_sign_required())
		return -EKEYREJECTED;
	if (known)
		return test_bit(KEY_FLAG_REVOKED, &known->key->flags) ? -EKEYREVOKED : -EEXIST;
	return 0;
}

/**
 * lpatch_keys_add() - put a certificate into the keyring
 * @cert: X.509, in DER
 * @len: bytes of it
 * @expires: CLOCK_REALTIME s
 *
 * Return: 0, -EROFS if the keyring is locked, -EKEYEXPIRED, -EEXIST, -EKEYREVOKED if it was in and was revoked,
 * -EBADMSG for what is not DER, -ENOKEY if nobody vouches for it and somebody must, -EKEYREJECTED if it would not
 * count, or what the kernel says of a certificate that it does not understand.
 */
int lpatch_keys_add(const void *cert, size_t len, u64 expires)
{
	u64 now = ktime_get_real_seconds();
	struct lp_key *new;
	int ret;

	if (expires <= now)
		return -EKEYEXPIRED;
	new = kzalloc(struct_size(new, cert, len), GFP_KERNEL);
	if (!new)
		return -ENOMEM;
	new->len = len;
	memcpy(new->cert, cert, len);
	new->tbs = lp_keys_tbs(new->cert, len, &new->tbs_len);
	mutex_lock(&lp_keys_mutex);
	ret = new->tbs ? lp_keys_take(new) : -EBADMSG;
	ret = ret ?: lp_keys_create(new, min_t(u64, expires - now, INT_MAX));
	mutex_unlock(&lp_keys_mutex);
	lpatch_audit_setting("key-add", ret ? NULL : new->key->description, ret);
	if (ret)
		kfree(new);
	return ret;
}

/* Trusts a certificate no more. Return: 0, or -ENOENT if it is not in the keyring. */
int lpatch_keys_revoke(const void *cert, size_t len)
{
	struct lp_key *known = NULL;
	size_t tbs_len;
	const u8 *tbs = lp_keys_tbs(cert, len, &tbs_len);

	mutex_lock(&lp_keys_mutex);
	if (tbs)
		known = lp_keys_find(tbs, tbs_len);
	if (known)
		key_revoke(known->key);
	mutex_unlock(&lp_keys_mutex);
	/* Nothing leaves the list. */
	lpatch_audit_setting("key-revoke", known ? known->key->description : NULL, known ? 0 : -ENOENT);
	return known ? 0 : -ENOENT;
}

/**
 * lpatch_keys_lock() - have the keyring take no more keys
 *
 * Return: 0, -EALREADY, or -EKEYREJECTED if signatures are required already, and there is a key that nobody vouched
 * for.
 */
int lpatch_keys_lock(void)
{
	int ret = 0;

	mutex_lock(&lp_keys_mutex);
	if (lp_keys_locked)
		ret = -EALREADY;
	else if (lp_keys_open && lpatch_sign_required())
		ret = -EKEYREJECTED;
	else
		WRITE_ONCE(lp_keys_locked, true);
	mutex_unlock(&lp_keys_mutex);
	lpatch_audit_setting("key-lock", NULL, ret);
	return ret;
}

/* Without a secondary keyring there are the builtin keys; without both nobody vouches. Return: 0 or a negative errno. */
static int __init lp_keys_init_vouched(void)
{
	key_ref_t ref = make_key_ref(lp_vouched, true);

	if (!keyring_restrict(ref, "asymmetric", "builtin_and_secondary_trusted") ||
	    !keyring_restrict(ref, "asymmetric", "builtin_trusted"))
		return 0;
	return keyring_restrict(ref, NULL, NULL);
}

/* Makes the keyring. Return: 0 or a negative errno. */
int __init lpatch_keys_init(void)
{
	struct key_restriction *restriction;
	int ret;

	lp_vouched = keyring_alloc(".lpatch-vouched", GLOBAL_ROOT_UID, GLOBAL_ROOT_GID, current_cred(), 0,
				   KEY_ALLOC_NOT_IN_QUOTA, NULL, NULL);
	if (IS_ERR(lp_vouched))
		return PTR_ERR(lp_vouched);
	ret = lp_keys_init_vouched();
	if (ret)
		goto err_vouched;
	ret = -ENOMEM;
	restriction = kzalloc(sizeof(*restriction), GFP_KERNEL); /* the keyring frees it */
	if (!restriction)
		goto err_vouched;
	restriction->check = lp_keys_check;
	lp_ring = keyring_alloc(".lpatch", GLOBAL_ROOT_UID, GLOBAL_ROOT_GID, current_cred(),
				KEY_POS_SEARCH | KEY_POS_WRITE | KEY_USR_VIEW | KEY_USR_READ,
				KEY_ALLOC_NOT_IN_QUOTA, restriction, NULL);
	if (!IS_ERR(lp_ring))
		return 0;
	ret = PTR_ERR(lp_ring);
	kfree(restriction);
err_vouched:
	key_put(lp_vouched);
	return ret;
}

void lpatch_keys_exit(void)
{
	struct lp_key *at, *next;

	key_put(lp_ring);
	key_put(lp_vouched);
	list_for_each_entry_safe(at, next, &lp_keys, node) {
		key_put(at->key);
		kfree(at);
	}
}
