// SPDX-License-Identifier: GPL-2.0
/*
 * The keyring .lpatch: the certificates whose keys may sign patches. The module owns it: root can
 * view it, and can change it only with requests to the module. With keyctl() root can neither write
 * to it nor restrict it, nor change the owner, permissions or timeout of a key in it, nor link
 * another keyring into it.
 *
 * Where signatures are required (lpatch_sign_required()), a user who may not bring code must not be
 * able to bring a key for it either. While signatures are not required, keys are added unchecked,
 * whoever signed their certificates. A keyring with such a key is valid under the requirement only
 * if it was locked before. Neither lockdown nor the parameter is ever reverted, so it is enough
 * that lpatch_keys_lock() fails if signatures are required already. From then on only certificates
 * that are signed by the kernel's own keys are accepted.
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
 * struct lp_key - a certificate that was added to the keyring
 * @node: in lp_keys, changed under lp_keys_mutex, read under it or by lpatch_keys_why_not()
 * @key: referenced
 * @tbs: the signed part of @cert, which identifies it
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
/*
 * A keyring restricted to certificates that are signed by the kernel's own keys. It stays empty:
 * only its restriction is used.
 */
static struct key *lp_vouched;

/*
 * Protects additions to the list, whose entries stay until the module is unloaded, and writes of
 * the two flags; orders additions and the lock. Held while the kernel parses a certificate, for
 * which it may run modprobe. Verification never takes it, since the start of modprobe itself may
 * verify a signature.
 */
static DEFINE_MUTEX(lp_keys_mutex);
static LIST_HEAD(lp_keys);
/* The keyring accepts no more keys. */
static bool lp_keys_locked;
/* The keyring has a key that was added unchecked. */
static bool lp_keys_open;

/* Called for each key that is added; see struct key_restriction. */
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
		smp_wmb(); /* before the key can be found; pairs with smp_rmb() in lpatch_keys_count() */
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

/* Is there no key at all? Then signatures are not in use. */
bool lpatch_keys_empty(void)
{
	return !READ_ONCE(lp_ring->keys.nr_leaves_on_tree);
}

/*
 * Is a signature by a key that was found in the keyring valid? See above. A caller that sees the
 * lock too late rejects the signature, which is harmless.
 */
bool lpatch_keys_count(void)
{
	smp_rmb(); /* the key was found before; pairs with smp_wmb() in lp_keys_check() */
	return READ_ONCE(lp_keys_locked) || !READ_ONCE(lp_keys_open) || !lpatch_sign_required();
}

/* Is the concatenation of these two an id of the key (asymmetric_key_generate_id())? */
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
 * lpatch_keys_why_not() - tell why the key of a signature is not trusted
 * @serial: serial number of its certificate, the content of the INTEGER, or its key identifier
 * @serial_len: bytes of @serial
 * @issuer: of its certificate, the content of the Name; empty with a key identifier
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

/* Adds a key. lp_keys_mutex held. @seconds: until it expires. */
static int lp_keys_create(struct lp_key *new, unsigned int seconds)
{
	bool open = lp_keys_open;
	key_ref_t ref;

	/* A possessed reference, so that only the module may write to the keyring. */
	ref = key_create_or_update(make_key_ref(lp_ring, true), "asymmetric", NULL, new->cert, new->len,
				   KEY_POS_VIEW | KEY_POS_SEARCH | KEY_USR_VIEW, KEY_ALLOC_NOT_IN_QUOTA);
	if (IS_ERR(ref)) {
		WRITE_ONCE(lp_keys_open, open); /* no key was added */
		return PTR_ERR(ref);
	}
	new->key = key_ref_to_ptr(ref);
	key_set_timeout(new->key, seconds);
	/*
	 * Publish the initialized entry. Pairs with list_for_each_entry_rcu() in
	 * lpatch_keys_why_not().
	 */
	list_add_rcu(&new->node, &lp_keys);
	return 0;
}

/*
 * Finds the signed part of a certificate (TBSCertificate of RFC 5280, with its header). The bytes
 * outside of it can be changed without a new signature, and the kernel's parser still accepts the
 * certificate.
 * Return: the signed part, with its length in @tbs_len, or NULL if @cert is not a certificate.
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

/*
 * Return: the certificate with this signed part, if it was added before, or NULL. lp_keys_mutex
 * held.
 */
static struct lp_key *lp_keys_find(const u8 *tbs, size_t tbs_len)
{
	struct lp_key *at;

	list_for_each_entry(at, &lp_keys, node)
		if (at->tbs_len == tbs_len && !memcmp(at->tbs, tbs, tbs_len))
			return at;
	return NULL;
}

/*
 * May the certificate be added? A revoked one may not be added again. lp_keys_mutex held. Return: 0
 * or a negative errno.
 */
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
 * lpatch_keys_add() - add a certificate to the keyring
 * @cert: X.509, in DER
 * @len: bytes of @cert
 * @expires: CLOCK_REALTIME s
 *
 * Return: 0, -EROFS if the keyring is locked, -EKEYEXPIRED, -EEXIST, -EKEYREVOKED if it was added
 * before and revoked, -EBADMSG if it is not DER, -ENOKEY if it needs a signature by a trusted key
 * and has none, -EKEYREJECTED if it would not be valid, or the error of the kernel's parser.
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

/* Revokes a certificate. Return: 0, or -ENOENT if it is not in the keyring. */
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
	/* Entries are never removed from the list, so known stays valid. */
	lpatch_audit_setting("key-revoke", known ? known->key->description : NULL, known ? 0 : -ENOENT);
	return known ? 0 : -ENOENT;
}

/**
 * lpatch_keys_lock() - make the keyring accept no more keys
 *
 * Return: 0, -EALREADY, or -EKEYREJECTED if signatures are required already and the keyring has a
 * key that was added unchecked.
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

/*
 * Falls back from the secondary keyring to the builtin one. Without either, no certificate is
 * accepted.
 * Return: 0 or a negative errno.
 */
static int __init lp_keys_init_vouched(void)
{
	key_ref_t ref = make_key_ref(lp_vouched, true);

	if (!keyring_restrict(ref, "asymmetric", "builtin_and_secondary_trusted") ||
	    !keyring_restrict(ref, "asymmetric", "builtin_trusted"))
		return 0;
	return keyring_restrict(ref, NULL, NULL);
}

/* Creates the keyring. Return: 0 or a negative errno. */
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
