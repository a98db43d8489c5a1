/* SPDX-License-Identifier: GPL-2.0 */
#ifndef LPATCH_AUDIT_H
#define LPATCH_AUDIT_H

struct lp_op;
struct lp_patch;
struct lp_record;

void lpatch_audit_op(const struct lp_op *op);
void lpatch_audit_replaced(const struct lp_op *op, const struct lp_record *record);
void lpatch_audit_patch(const char *verb, const struct lp_patch *patch, int error);
void lpatch_audit_setting(const char *verb, const char *key, int error);

#endif
