// SPDX-License-Identifier: GPL-2.0
/*
 * Verifies the signature that is appended to a patch file.
 *
 * A signed file ends like a signed kernel module, with another marker: the content, a detached
 * PKCS#7 signature, struct module_signature, and the marker. The signed message is struct
 * lp_signed: a hash of the content, of which a part is mapped, and a hash of the tables as the
 * client transferred them, which is everything else that the kernel uses. The client reads the
 * tables from the file. The kernel need not parse them, since other tables have another hash.
 *
 * The block device below the file system may be writable for some program, or the file system may
 * be served by a program. So the file is copied to memory that no program can write to and that is
 * not swapped out. The copy is what is verified, and what targets map from then on.
 */

#include <linux/cred.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/module_signature.h>
#include <linux/pagemap.h>
#include <linux/shmem_fs.h>
#include <linux/slab.h>
#include <linux/verification.h>

#include "compat.h"
#include "der.h"
#include "keys.h"
#include "patch.h"
#include "signature.h"
#include "sum.h"

#define LP_SIGN_MARKER "~lpatch signature appended~\n"
#define LP_SIGN_MARKER_LEN (sizeof(LP_SIGN_MARKER) - 1)

#define LP_SIGN_MAX (64U << 10)

/* The trailer of a signed file. */
struct lp_sign_end {
	struct module_signature info;
	u8 marker[LP_SIGN_MARKER_LEN];
} __packed;

/* The signed message. */
struct lp_signed {
	u8 magic[16];
	u8 content[LP_SUM_LEN];
	u8 tables[LP_SUM_LEN];
};

static const u8 lp_signed_magic[16] = "lpatch signed 2\n";

/**
 * struct lp_signature - a verified signature, which is verified again when the patch is used
 * @message: the signed message
 * @len: bytes of @der
 * @der: the PKCS#7 message
 */
struct lp_signature {
	struct lp_signed message;
	size_t len;
	u8 der[];
};

/* Return: 0, or a negative errno; -EIO if the file was truncated. */
static int lp_read_exactly(struct file *file, void *to, size_t len, loff_t at)
{
	ssize_t got = kernel_read(file, to, len, &at);

	if (got < 0)
		return got;
	return got == len ? 0 : -EIO;
}

/*
 * Reads the trailer of a file of @size bytes.
 * Return: bytes of the signature, 0 if there is none, or a negative errno.
 */
static ssize_t lp_signature_len(struct file *file, loff_t size)
{
	static const struct module_signature expected = { .id_type = LP_SIGNATURE_PKCS7 };
	struct lp_sign_end end;
	u32 len;
	int ret;

	if (size < sizeof(end))
		return 0;
	ret = lp_read_exactly(file, &end, sizeof(end), size - sizeof(end));
	if (ret)
		return ret;
	if (memcmp(end.marker, LP_SIGN_MARKER, LP_SIGN_MARKER_LEN))
		return 0;
	len = be32_to_cpu(end.info.sig_len);
	end.info.sig_len = 0;
	if (memcmp(&end.info, &expected, sizeof(expected)) || !len || len > LP_SIGN_MAX ||
	    len >= size - sizeof(end))
		return -EBADMSG;
	return len;
}

/* Copies @size bytes of one file to another. Return: 0 or a negative errno. */
static int lp_copy(struct file *from, struct file *to, loff_t size)
{
	void *buf = kmalloc(PAGE_SIZE, GFP_KERNEL);
	loff_t at = 0;
	int ret = 0;

	if (!buf)
		return -ENOMEM;
	while (!ret && at < size) {
		size_t len = min_t(loff_t, size - at, PAGE_SIZE);
		ssize_t put;

		ret = lp_read_exactly(from, buf, len, at);
		if (ret)
			break;
		put = kernel_write(to, buf, len, &at);
		if (put != len)
			ret = put < 0 ? put : -EIO;
		else if (fatal_signal_pending(current))
			ret = -EINTR;
		cond_resched();
	}
	kfree(buf);
	return ret;
}

/*
 * Return: a copy of the patch file in memory, or an ERR_PTR. It has no path. A process that finds
 * it in /proc/PID/map_files cannot open it for writing.
 */
static struct file *lp_copy_file(const struct lp_patch *patch, loff_t size)
{
	char name[sizeof("lpatch:") + LPATCH_NAME_MAX];
	struct file *copy;
	int ret;

	snprintf(name, sizeof(name), "lpatch:%s", patch->name);
	copy = shmem_file_setup(name, size, LP_SHMEM_NORESERVE);
	if (IS_ERR(copy))
		return copy;
	ret = deny_write_access(copy);
	if (ret) {
		fput(copy);
		return ERR_PTR(ret);
	}
	mapping_set_unevictable(copy->f_mapping);
	ret = lp_copy(patch->file, copy, size);
	if (ret) {
		allow_write_access(copy);
		fput(copy);
		return ERR_PTR(ret);
	}
	return copy;
}

/* Are all segments within the first @len bytes of the file, which are signed? */
static bool lp_is_content(const struct lp_patch *patch, loff_t len)
{
	u32 i;

	for (i = 0; i < patch->nr_segments; i++)
		if (patch->segments[i].offset + patch->segments[i].size > len)
			return false;
	return true;
}

/* The OID of SHA-256, 2.16.840.1.101.3.4.2.1 (RFC 5754). */
static const u8 lp_sha256_oid[] = { LP_DER_OID, 9, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01 };

/*
 * Is [@at, @end) exactly one SignerInfo (RFC 5652) with a SHA-256 digest and no attributes? The
 * kernel's parser accepts every digest algorithm that it knows, including SHA-1.
 */
static bool lp_signer_is_plain(const u8 *at, const u8 *end)
{
	const u8 *digest, *digest_end;

	if (!lp_der_enter_all(&at, end, LP_DER_SEQUENCE) || !lp_der_skip(&at, end, LP_DER_INTEGER))
		return false;
	if (!lp_der_skip(&at, end, LP_DER_SEQUENCE) && !lp_der_skip(&at, end, LP_DER_KEY_ID))
		return false;
	digest = at;
	digest_end = end;
	/*
	 * digest algorithm, no signed attributes, signature algorithm, signature, no unsigned
	 * attributes
	 */
	if (!lp_der_skip(&at, end, LP_DER_SEQUENCE) || !lp_der_skip(&at, end, LP_DER_SEQUENCE) ||
	    !lp_der_skip(&at, end, LP_DER_OCTETS) || at != end)
		return false;
	return lp_der_enter(&digest, &digest_end, LP_DER_SEQUENCE) &&
	       digest_end - digest >= sizeof(lp_sha256_oid) &&
	       !memcmp(digest, lp_sha256_oid, sizeof(lp_sha256_oid));
}

/* Enters the SignerInfos of a PKCS#7 message (RFC 2315) without certificates and CRLs. */
static bool lp_signature_enter(const struct lp_signature *signature, const u8 **at, const u8 **end)
{
	*at = signature->der;
	*end = signature->der + signature->len;
	return lp_der_enter_all(at, *end, LP_DER_SEQUENCE) && lp_der_skip(at, *end, LP_DER_OID) &&
	       lp_der_enter_all(at, *end, LP_DER_CONTEXT_0) && lp_der_enter_all(at, *end, LP_DER_SEQUENCE) &&
	       lp_der_skip(at, *end, LP_DER_INTEGER) && lp_der_skip(at, *end, LP_DER_SET) &&
	       lp_der_skip(at, *end, LP_DER_SEQUENCE) && lp_der_enter_all(at, *end, LP_DER_SET);
}

/*
 * Is a message of the only kind that is accepted: one signer, a SHA-256 digest, no certificates or
 * CRLs? With an embedded certificate, a signature by a revoked key would still be trusted if the
 * issuer of that certificate is in the keyring (pkcs7_validate_trust_one()).
 */
static bool lp_signature_is_plain(const struct lp_signature *signature)
{
	const u8 *at, *end;

	return lp_signature_enter(signature, &at, &end) && lp_signer_is_plain(at, end);
}

/*
 * Tells why the key of a plain signature is not trusted. The errno of the kernel's search is no
 * use: it may refer to any key that the search passed (keyring_search_iterator()).
 */
static int lp_signature_why_not(const struct lp_signature *signature)
{
	const u8 *at, *end, *issuer_end, *serial, *serial_end;

	if (!lp_signature_enter(signature, &at, &end) || !lp_der_enter(&at, &end, LP_DER_SEQUENCE) ||
	    !lp_der_skip(&at, end, LP_DER_INTEGER))
		return -EBADMSG;
	if (lp_der_enter(&at, &end, LP_DER_KEY_ID))
		return lpatch_keys_why_not(at, end - at, NULL, 0);
	if (!lp_der_enter(&at, &end, LP_DER_SEQUENCE))
		return -EBADMSG;
	issuer_end = end;
	if (!lp_der_enter(&at, &issuer_end, LP_DER_SEQUENCE))
		return -EBADMSG;
	serial = issuer_end;
	serial_end = end;
	if (!lp_der_enter(&serial, &serial_end, LP_DER_INTEGER))
		return -EBADMSG;
	return lpatch_keys_why_not(serial, serial_end - serial, at, issuer_end - at);
}

/*
 * Is the signature by a trusted key? As for kernel modules, signed attributes are not accepted.
 * @by: the credentials of the client that provided the patch, since security modules check those of
 * current, which may be any process that starts. Return: 0 or a negative errno.
 */
static int lp_signature_trust(const struct lp_signature *signature, const struct cred *by)
{
	const struct cred *old;
	int ret;

	if (!lp_signature_is_plain(signature))
		return -EPROTO;
	old = override_creds(by);
	ret = verify_pkcs7_signature(&signature->message, sizeof(signature->message), signature->der,
				     signature->len, lpatch_keys_ring(), VERIFYING_MODULE_SIGNATURE,
				     NULL, NULL);
	revert_creds(old);
	switch (ret) {
	case 0:
		return lpatch_keys_count() ? 0 : -EPERM;
	case -ENOKEY:
	case -EKEYEXPIRED:
	case -EKEYREVOKED:
		return lp_signature_why_not(signature);
	default:
		return ret;
	}
}

/*
 * Reads the signature of @file, a copy of the patch file, and verifies it. @signature: its len is
 * set. Return: 0 or a negative errno.
 */
static int lp_signature_read(const struct lp_patch *patch, struct file *file,
			     struct lp_signature *signature)
{
	loff_t content = i_size_read(file_inode(file)) - sizeof(struct lp_sign_end) - signature->len;
	struct lp_signed *message = &signature->message;
	int ret;

	if (!lp_is_content(patch, content))
		return -EBADMSG;
	memcpy(message->magic, lp_signed_magic, sizeof(message->magic));
	ret = lp_read_exactly(file, signature->der, signature->len, content);
	ret = ret ?: lpatch_sum_file(file, content, message->content);
	ret = ret ?: lpatch_sum_tables(patch, message->tables);
	return ret ?: lp_signature_trust(signature, file->f_cred);
}

/*
 * Verifies @file, a copy of the patch file, with a signature of @len bytes, and keeps the
 * signature. Return: 0 or a negative errno.
 */
static int lp_signature_of(struct lp_patch *patch, struct file *file, size_t len)
{
	struct lp_signature *signature = kvmalloc(struct_size(signature, der, len), GFP_KERNEL);
	int ret;

	if (!signature)
		return -ENOMEM;
	signature->len = len;
	ret = lp_signature_read(patch, file, signature);
	if (ret) {
		kvfree(signature);
		return ret;
	}
	memcpy(patch->content, signature->message.content, sizeof(patch->content));
	patch->signature = signature;
	return 0;
}

/*
 * Verifies the signature of a sealed patch again. Return: 0 if its key is still trusted, or a
 * negative errno.
 */
int lpatch_signature_again(const struct lp_patch *patch)
{
	return lp_signature_trust(patch->signature, patch->file->f_cred);
}

/* @signature: may be NULL. */
void lpatch_signature_free(struct lp_signature *signature)
{
	kvfree(signature);
}

/**
 * lpatch_signature_verify() - verify what will be mapped and written
 * @patch: complete, not sealed yet; if its signature is valid, its file is replaced with the
 *	verified copy
 *
 * Return: 0, -ENODATA without a signature, or a negative errno that says why it was not verified.
 */
int lpatch_signature_verify(struct lp_patch *patch)
{
	loff_t size = i_size_read(file_inode(patch->file));
	struct file *copy;
	ssize_t len;
	int ret;

	len = lp_signature_len(patch->file, size);
	if (len <= 0)
		return len ?: -ENODATA;
	/* Without a key signatures are not in use. Do not expose the parsers to the file then. */
	if (lpatch_keys_empty())
		return -ENOKEY;
	if (size > LP_SUM_FILE_MAX)
		return -EFBIG;
	copy = lp_copy_file(patch, size);
	if (IS_ERR(copy))
		return PTR_ERR(copy);
	/* Read the trailer again: the file may have changed meanwhile. */
	len = lp_signature_len(copy, size);
	ret = len > 0 ? lp_signature_of(patch, copy, len) : -EBADMSG;
	/* Drop the file that is not kept. */
	if (!ret)
		swap(copy, patch->file);
	allow_write_access(copy);
	fput(copy);
	return ret;
}
