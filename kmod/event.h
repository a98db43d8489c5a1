/* SPDX-License-Identifier: GPL-2.0 */
#ifndef LPATCH_EVENT_H
#define LPATCH_EVENT_H

struct lp_op;

void lpatch_event(const struct lp_op *op);

#endif
