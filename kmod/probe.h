/* SPDX-License-Identifier: GPL-2.0 */
#ifndef LPATCH_PROBE_H
#define LPATCH_PROBE_H

#include <linux/types.h>

struct task_struct;

int lpatch_probe_each_addr(const struct task_struct *task,
			   int (*fn)(unsigned long value, bool ip, void *arg), void *arg);

#endif
