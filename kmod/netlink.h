/* SPDX-License-Identifier: GPL-2.0 */
#ifndef LPATCH_NETLINK_H
#define LPATCH_NETLINK_H

#include <linux/types.h>

struct genl_family;
struct netlink_ext_ack;
struct sk_buff;

extern struct genl_family lpatch_family;

/* Does the sender of a message have the capabilities to use lpatch? */
bool lpatch_permitted(struct sk_buff *skb);
int lpatch_not_permitted(struct netlink_ext_ack *extack);
int lpatch_netlink_init(void);
void lpatch_netlink_exit(void);

#endif
