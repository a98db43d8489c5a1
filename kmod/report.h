/* SPDX-License-Identifier: GPL-2.0 */
#ifndef LPATCH_REPORT_H
#define LPATCH_REPORT_H

#include <linux/types.h>

struct lp_op;
struct lp_record;
struct lp_target;
struct sk_buff;

/* The reader of a report: the client, or all listeners of the group "events". */
enum lp_reader {
	LP_CLIENT,
	LP_LISTENERS,
};

int lpatch_report_op(struct sk_buff *skb, const struct lp_op *op, enum lp_reader reader);
int lpatch_report_record(struct sk_buff *skb, struct lp_target *target, struct lp_record *record,
			 enum lp_reader reader, unsigned int *tries);

#endif
