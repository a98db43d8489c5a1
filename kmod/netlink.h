/* SPDX-License-Identifier: GPL-2.0 */
#ifndef LPATCH_NETLINK_H
#define LPATCH_NETLINK_H

int lp_netlink_init(void);
void lp_netlink_exit(void);

#endif
