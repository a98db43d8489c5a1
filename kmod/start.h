/* SPDX-License-Identifier: GPL-2.0 */
#ifndef LPATCH_START_H
#define LPATCH_START_H

#include <linux/types.h>

struct inode;

void lp_start_look_later(const struct inode *inode, bool fresh);

#endif
