/* SPDX-License-Identifier: GPL-2.0 */
#ifndef LPATCH_HOOKS_H
#define LPATCH_HOOKS_H

int lpatch_hooks_init(void);
void lpatch_hooks_exit(void);

#endif
