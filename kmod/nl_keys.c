// SPDX-License-Identifier: GPL-2.0
/* Netlink requests for keys. */

#include <net/genetlink.h>

#include "keys.h"
#include "nl_gen.h"

/* Explains an errno in the extack message; @attr may be NULL. Return: @error. */
static int lp_key_answer(struct genl_info *info, const struct nlattr *attr, int error)
{
	struct netlink_ext_ack *extack = info->extack;

	switch (error) {
	case 0:
	case -ENOMEM:
		break;
	case -EOPNOTSUPP:
		NL_SET_ERR_MSG(extack,
			       "this kernel cannot verify signatures: it is built without CONFIG_SYSTEM_DATA_VERIFICATION");
		break;
	case -EROFS:
		NL_SET_ERR_MSG(extack,
			       "the keyring .lpatch is locked and takes no more keys until the module is loaded again");
		break;
	case -EKEYEXPIRED:
		NL_SET_ERR_MSG_ATTR(extack, attr, "the certificate has expired");
		break;
	case -EEXIST:
		NL_SET_ERR_MSG_ATTR(extack, attr, "the certificate is in the keyring .lpatch already");
		break;
	case -EKEYREVOKED:
		NL_SET_ERR_MSG_ATTR(extack, attr, "the certificate was revoked");
		break;
	case -EKEYREJECTED:
		NL_SET_ERR_MSG(extack,
			       "signatures are required already, and the keyring .lpatch has keys that nobody vouched for: they do not count any more; load the module again");
		break;
	case -EALREADY:
		NL_SET_ERR_MSG(extack, "the keyring .lpatch is locked already");
		break;
	case -ENOKEY:
		NL_SET_ERR_MSG_ATTR(extack, attr,
				    "the keyring .lpatch takes only certificates that a key trusted by the kernel vouches for: sign it with such a key (a machine owner key, for one)");
		break;
	case -ENOENT:
		NL_SET_ERR_MSG_ATTR(extack, attr, "the certificate is not in the keyring .lpatch");
		break;
	default:
		NL_SET_ERR_MSG_ATTR(extack, attr,
				    "the kernel does not understand the certificate: it takes X.509 in DER, with algorithms that it is built with");
	}
	return error;
}

int lpatch_nl_key_add_doit(struct sk_buff *skb, struct genl_info *info)
{
	const struct nlattr *cert = info->attrs[LPATCH_A_KEY_CERT];

	if (GENL_REQ_ATTR_CHECK(info, LPATCH_A_KEY_CERT) ||
	    GENL_REQ_ATTR_CHECK(info, LPATCH_A_KEY_EXPIRES)) {
		NL_SET_ERR_MSG(info->extack, "a key needs a certificate, and when it expires");
		return -EINVAL;
	}
	return lp_key_answer(info, cert, lpatch_keys_add(nla_data(cert), nla_len(cert),
						     nla_get_u64(info->attrs[LPATCH_A_KEY_EXPIRES])));
}

int lpatch_nl_key_revoke_doit(struct sk_buff *skb, struct genl_info *info)
{
	const struct nlattr *cert = info->attrs[LPATCH_A_KEY_CERT];

	if (GENL_REQ_ATTR_CHECK(info, LPATCH_A_KEY_CERT)) {
		NL_SET_ERR_MSG(info->extack, "a key is named by its certificate");
		return -EINVAL;
	}
	return lp_key_answer(info, cert, lpatch_keys_revoke(nla_data(cert), nla_len(cert)));
}

int lpatch_nl_key_lock_doit(struct sk_buff *skb, struct genl_info *info)
{
	return lp_key_answer(info, NULL, lpatch_keys_lock());
}
