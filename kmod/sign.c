// SPDX-License-Identifier: GPL-2.0
/*
 * Whether a patch may be used although nobody vouches for it. It is as with kernel modules
 * (module_sig_check()): where no signature is asked for, a missing one, and one by an unknown key,
 * do no harm, but one that does not fit is always a reason to refuse.
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
 * A key that has expired or was revoked since the patch was sealed counts no more.
 *
 * Context: may sleep.
 * Return: NULL, or why not, the rest of a sentence that begins with the patch.
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
 * struct lp_sign_answer - what to say when a signature was not verified
 * @error: why not
 * @answer: the errno for the client; one that only signatures have, where it is about one
 * @unknown: it is as if there were no signature
 * @sentence: for people
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
 * lpatch_sign_check() - find out whether a patch is signed
 * @patch: complete, and not sealed yet; if it is, its file is replaced by the copy that was verified
 * @wrong: gets a sentence, or is left alone for want of one
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
		return ret; /* want of memory, a file that cannot be read */
	if (answer->unknown && !lpatch_sign_required())
		return 0;
	*wrong = answer->sentence;
	lpatch_audit_patch("seal", patch, answer->answer);
	return answer->answer;
}
