/* SPDX-License-Identifier: GPL-2.0 */
#ifndef LPATCH_LIVE_H
#define LPATCH_LIVE_H

#include <linux/types.h>

struct lp_patch;
struct lp_record;
struct lp_site;
struct lp_target;
struct mm_struct;

/**
 * struct lp_live - state of one patch in a target's memory
 * @lost: the first site that has the old bytes although the patch is applied, or NULL
 * @foreign: the first site that has neither old nor new bytes, or NULL
 * @missing: the first site whose page is not in memory yet, or NULL; if set, the result is
 *	incomplete
 * @gone: the first site whose image is no longer mapped there, or NULL
 * @unmapped: a part of the patch's own mapping is missing
 * @partial: a part of it is missing because a load or an unload has not completed, or a fork was
 *	made in the middle of one
 */
struct lp_live {
	const struct lp_site *lost;
	const struct lp_site *foreign;
	const struct lp_site *missing;
	const struct lp_site *gone;
	bool unmapped;
	bool partial;
};

/*
 * How often, and how many jiffies apart, to retry when a page is missing or mmap_lock is contended.
 */
#define LP_LOOK_TRIES 100
#define LP_LOOK_PAUSE (1 + HZ / 100)

bool lpatch_live_is_in_patch(struct mm_struct *mm, const struct lp_patch *patch, unsigned long base,
			     unsigned long addr, size_t len);
bool lpatch_live_is_patch(struct mm_struct *mm, const struct lp_record *record);
bool lpatch_live_is_partial(struct mm_struct *mm, const struct lp_record *record);
bool lpatch_live_is_site(struct mm_struct *mm, const struct lp_patch *patch,
			 const struct lp_site *site, const unsigned long *bases);
int lpatch_live_look(const struct lp_target *target, const struct lp_record *record, struct lp_live *live);
bool lpatch_live_drifted(const struct lp_record *record, const struct lp_live *live);
u32 lpatch_live_say(const struct lp_target *target, const struct lp_record *record,
		    const struct lp_live *live, char *message, size_t size, const char **function);

#endif
