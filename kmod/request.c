// SPDX-License-Identifier: GPL-2.0
/* What is asked for. */

#include <net/netlink.h>

#include "request.h"

static const char * const lp_verbs[] = {
	[LP_LOAD] = "load",
	[LP_APPLY] = "apply",
	[LP_RESTORE] = "restore",
	[LP_UNLOAD] = "unload",
	[LP_RECOUNT] = "recount",
};

/* As reports and audit records name it. */
const char *lpatch_request_verb(const struct lp_request *req)
{
	if (req->boot)
		return "boot";
	return lp_request_is_dry_run(req) ? "check" : lp_verbs[req->verb];
}

/* May the old body of a function be in use when it is replaced? */
bool lpatch_request_allows(const struct lp_request *req, const char *symbol)
{
	const struct nlattr *attr;
	int rem;

	nla_for_each_attr(attr, req->allowed, req->allowed_len, rem)
		if (nla_type(attr) == LPATCH_A_OP_ALLOW_ACTIVE && !nla_strcmp(attr, symbol))
			return true;
	return false;
}
