/* SPDX-License-Identifier: GPL-2.0 */
#ifndef LPATCH_LINEAGE_H
#define LPATCH_LINEAGE_H

struct lp_record;

int lp_lineage_init(void);
void lp_lineage_exit(void);
int lp_lineage_find(void);
void lp_lineage_purge(void);
void lp_record_end(struct lp_record *record);

#endif
