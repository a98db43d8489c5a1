// SPDX-License-Identifier: GPL-2.0
/*
 * Decides whether an unsigned patch may be used. The rules are those for kernel modules
 * (module_sig_check()): if signatures are not required, a patch without a signature or with one by
 * a key that is not trusted is accepted, but an invalid signature is always refused.
 */

#include <linux/errno.h>
#include <linux/kernel.h>

#include "audit.h"
#include "patch.h"
#include "require.h"
#include "sign.h"
#include "signature.h"

/**
 * lpatch_sign_objection() - may a patch be loaded or applied now?
 * @patch: sealed, perhaps before signatures were required
 *
 * A signature is invalid if its key has expired or was revoked after the patch was sealed.
 *
 * Context: may sleep.
 * Return: NULL, or the reason as the rest of a sentence that begins with the patch.
 */
const char *lpatch_sign_objection(const struct lp_patch *patch)
{
	if (!lpatch_sign_required())
		return NULL;
	if (!patch->signature)
		return "has no valid signature, which this kernel requires by now (lpatch.require_signature or lockdown)";
	switch (lpatch_signature_again(patch)) {
	case 0:
		return NULL;
	case -EKEYEXPIRED:
		return "is signed with a key that has expired since";
	case -EKEYREVOKED:
		return "is signed with a key that was revoked since";
	case -ENOMEM:
		return "has a signature that cannot be verified now, for lack of memory";
	case -EPERM:
		return "is signed with a key that nobody vouched for, and .lpatch was locked too late or not at all";
	default:
		return "has a signature that cannot be verified again";
	}
}

/**
 * struct lp_sign_answer - how to report that a signature was not verified
 * @error: result of the verification
 * @answer: the errno for the client; one that is specific to signatures if it is about a signature
 * @unknown: the patch is treated as unsigned
 * @sentence: the reason for people
 */
struct lp_sign_answer {
	int error;
	int answer;
	bool unknown;
	const char *sentence;
};

static const struct lp_sign_answer lp_sign_answers[] = {
	{
		-ENODATA, -ENOKEY, true,
		"the patch is not signed, and this kernel requires a signature (lpatch.require_signature or lockdown)",
	},
	{
		-ENOKEY, -ENOKEY, true,
		"the patch is signed with a key that is not in the keyring .lpatch, and this kernel requires a signature (lpatch.require_signature or lockdown)",
	},
	{
		-EKEYEXPIRED, -EKEYEXPIRED, true,
		"the key in the keyring .lpatch that the patch is signed with has expired",
	},
	{
		-EKEYREVOKED, -EKEYREVOKED, true,
		"the key in the keyring .lpatch that the patch is signed with was revoked",
	},
	{
		-ENOPKG, -ENOKEY, true,
		"this kernel cannot check the signature of the patch: an algorithm is missing",
	},
	{
		-EOPNOTSUPP, -ENOKEY, true,
		"this kernel requires signatures (lpatch.require_signature or lockdown), and cannot check any: it is built without CONFIG_SYSTEM_DATA_VERIFICATION",
	},
	{
		-EKEYREJECTED, -EKEYREJECTED, false,
		"the signature does not fit the patch: one of them was changed after signing, or another key made it",
	},
	{
		-EBADMSG, -EKEYREJECTED, false,
		"what is appended to the patch file is no valid signature",
	},
	{
		-EPROTO, -EKEYREJECTED, false,
		"the signature of the patch is not of the kind that is taken, one signer with SHA-256, without attributes and certificates: sign it with lpctl sign",
	},
	{
		-EPERM, -EKEYREJECTED, false,
		"the keyring .lpatch has keys that nobody vouched for, and was not locked before signatures were required: load the module again, and it takes those that the kernel's trusted keys vouch for",
	},
	{
		-EFBIG, -EFBIG, false,
		"the patch file is too large to be verified",
	},
};

/**
 * lpatch_sign_check() - check the signature of a patch
 * @patch: complete, not sealed yet; if it is signed, its file is replaced with the verified copy
 * @wrong: set to the reason of a failure, or unchanged if there is no sentence for it
 *
 * Return: 0 if it may be sealed, or a negative errno.
 */
int lpatch_sign_check(struct lp_patch *patch, const char **wrong)
{
	const struct lp_sign_answer *answer = lp_sign_answers;
	const struct lp_sign_answer *end = answer + ARRAY_SIZE(lp_sign_answers);
	int ret = lpatch_signature_verify(patch);

	if (!ret)
		return 0;
	while (answer < end && answer->error != ret)
		answer++;
	if (answer == end)
		return ret; /* out of memory, or the file cannot be read */
	if (answer->unknown && !lpatch_sign_required())
		return 0;
	*wrong = answer->sentence;
	lpatch_audit_patch("seal", patch, answer->answer);
	return answer->answer;
}
