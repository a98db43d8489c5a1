/* SPDX-License-Identifier: GPL-2.0 */
#ifndef LPATCH_REQUIRE_H
#define LPATCH_REQUIRE_H

#include <linux/types.h>

bool lpatch_sign_required(void);

#endif
