// SPDX-License-Identifier: GPL-2.0
/*
 * Multicast messages to the group "events" and audit records, for each change of state and each
 * refusal.
 */

#include <net/genetlink.h>

#include "audit.h"
#include "event.h"
#include "netlink.h"
#include "nl_gen.h"
#include "op.h"
#include "report.h"
#include "target.h"

static struct sk_buff *lp_event_new(void **head)
{
	struct sk_buff *skb = genlmsg_new(NLMSG_GOODSIZE, GFP_KERNEL);

	if (!skb)
		return NULL;
	*head = genlmsg_put(skb, 0, 0, &lpatch_family, 0, LPATCH_CMD_EVENT);
	if (*head)
		return skb;
	nlmsg_free(skb);
	return NULL;
}

/* The group may have no listener, or may not exist (see lp_register()). */
static void lp_event_send(struct sk_buff *skb, void *head, int ret)
{
	if (ret || !lpatch_family.n_mcgrps) {
		nlmsg_free(skb);
		return;
	}
	genlmsg_end(skb, head);
	genlmsg_multicast(&lpatch_family, skb, 0, LPATCH_NLGRP_EVENTS, GFP_KERNEL);
}

/* Reports a patch that another one replaced. */
static void lp_event_replaced(const struct lp_op *op, struct lp_record *record)
{
	struct sk_buff *skb;
	void *head;
	int ret;

	lpatch_audit_replaced(op, record);
	skb = lp_event_new(&head);
	if (!skb)
		return;
	mutex_lock(&lpatch_targets_lock); /* protects the name */
	ret = lpatch_report_record(skb, op->target, record, LP_LISTENERS, NULL);
	mutex_unlock(&lpatch_targets_lock);
	lp_event_send(skb, head, ret);
}

/* Reports an operation that succeeded or was refused to the group and to audit. */
void lpatch_event(const struct lp_op *op)
{
	const struct lp_outcome *out = &op->outcome;
	struct sk_buff *skb;
	void *head;
	u32 i;

	if (lp_request_is_dry_run(op->request) && out->refusal == LPATCH_REFUSAL_NONE)
		return;
	/* A recount changes nothing in the target. Its result is in the status. */
	if (op->request->verb == LP_RECOUNT)
		return;
	lpatch_audit_op(op);
	skb = lp_event_new(&head);
	if (skb)
		lp_event_send(skb, head, lpatch_report_op(skb, op, LP_LISTENERS));
	for (i = 0; i < out->nr_replaced; i++)
		lp_event_replaced(op, out->replaced[i]);
}
