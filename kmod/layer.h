/* SPDX-License-Identifier: GPL-2.0 */
#ifndef LPATCH_LAYER_H
#define LPATCH_LAYER_H

#include <linux/types.h>

struct lp_record;
struct lp_site;
struct lp_target;

unsigned long lpatch_layer_addr(const struct lp_record *record, const struct lp_site *site);
const struct lp_site *lpatch_layer_site(const struct lp_record *record, unsigned long addr);
bool lpatch_layer_bytes(const struct lp_record *record, const struct lp_site *site, u8 *bytes);
bool lpatch_layer_holds(const struct lp_target *target, const struct lp_record *record,
			const struct lp_site *site, const u8 *found);
const struct lp_record *lpatch_layer_owner(const struct lp_target *target, unsigned long addr, u8 len,
					   const u8 *found);
unsigned int lpatch_layer_nr(const struct lp_target *target, const struct lp_record *record);

#endif
