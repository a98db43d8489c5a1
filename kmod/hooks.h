/* SPDX-License-Identifier: GPL-2.0 */
#ifndef LPATCH_HOOKS_H
#define LPATCH_HOOKS_H

int lp_hooks_init(void);
void lp_hooks_exit(void);

#endif
