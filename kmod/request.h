/* SPDX-License-Identifier: GPL-2.0 */
#ifndef LPATCH_REQUEST_H
#define LPATCH_REQUEST_H

#include <linux/types.h>

#include "uapi/lpatch.h"

struct lp_boot;
struct nlattr;

enum lp_verb {
	LP_LOAD,
	LP_APPLY,
	LP_RESTORE,
	LP_UNLOAD,
	LP_RECOUNT,
};

/**
 * struct lp_request - a request of a client, or of a starting program, for one target
 * @verb: what to do
 * @flags: enum lpatch_op_flags
 * @pid: of the target, as named by the client
 * @start_time: of that process in clock ticks, or 0 for any
 * @max_stop: ns, limit of one window
 * @timeout: ns, how long to retry
 * @replaces: an apply restores other patches in the same window: lpatch_request_replaces()
 * @attrs: the netlink attributes of the request, some of which may occur several times
 * @attrs_len: bytes of the attributes
 * @boot: the boot entry if the target is a starting process, or NULL
 * @fresh: bit mask of the images whose code cannot have run in the target
 *
 * A request never changes after its initialization.
 */
struct lp_request {
	enum lp_verb verb;
	u32 flags;
	u32 pid;
	u64 start_time;
	u64 max_stop;
	u64 timeout;
	bool replaces;
	const struct nlattr *attrs;
	int attrs_len;
	struct lp_boot *boot;
	u32 fresh;
};

const char *lpatch_request_verb(const struct lp_request *req);
bool lpatch_request_allows(const struct lp_request *req, const char *symbol);
bool lpatch_request_replaces(const struct lp_request *req, const u8 *hash);

/* Does the request only ask what an apply would do? */
static inline bool lp_request_is_dry_run(const struct lp_request *req)
{
	return req->flags & LPATCH_OP_FLAGS_DRY_RUN;
}

/* Does the request write to the target? */
static inline bool lp_request_writes(const struct lp_request *req)
{
	return (req->verb == LP_APPLY || req->verb == LP_RESTORE) && !lp_request_is_dry_run(req);
}

#endif
