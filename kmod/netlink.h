/* SPDX-License-Identifier: GPL-2.0 */
#ifndef LPATCH_NETLINK_H
#define LPATCH_NETLINK_H

#include <linux/types.h>

struct genl_family;
struct netlink_ext_ack;
struct sk_buff;

extern struct genl_family lp_family;

/* May the sender of a message use lpatch? */
bool lp_permitted(struct sk_buff *skb);
int lp_not_permitted(struct netlink_ext_ack *extack);
int lp_netlink_init(void);
void lp_netlink_exit(void);

#endif
