// SPDX-License-Identifier: GPL-2.0
/* Properties of a request. */

#include <net/netlink.h>

#include "request.h"

static const char * const lp_verbs[] = {
	[LP_LOAD] = "load",
	[LP_APPLY] = "apply",
	[LP_RESTORE] = "restore",
	[LP_UNLOAD] = "unload",
	[LP_RECOUNT] = "recount",
};

/* Return: the name of the operation in reports and audit records. */
const char *lpatch_request_verb(const struct lp_request *req)
{
	if (req->boot)
		return "boot";
	return lp_request_is_dry_run(req) ? "check" : lp_verbs[req->verb];
}

/* May threads be in the old body of a function when it is replaced? */
bool lpatch_request_allows(const struct lp_request *req, const char *symbol)
{
	const struct nlattr *attr;
	int rem;

	nla_for_each_attr(attr, req->attrs, req->attrs_len, rem)
		if (nla_type(attr) == LPATCH_A_OP_ALLOW_ACTIVE && !nla_strcmp(attr, symbol))
			return true;
	return false;
}

/* Must another patch, identified by its hash, be restored when this one is applied? */
bool lpatch_request_replaces(const struct lp_request *req, const u8 *hash)
{
	const struct nlattr *attr;
	int rem;

	if (req->flags & LPATCH_OP_FLAGS_REPLACE)
		return true;
	nla_for_each_attr(attr, req->attrs, req->attrs_len, rem)
		if (nla_type(attr) == LPATCH_A_OP_REPLACE && !nla_memcmp(attr, hash, LPATCH_HASH_LEN))
			return true;
	return false;
}
