/* SPDX-License-Identifier: GPL-2.0 */
#ifndef LPATCH_BUILD_ID_H
#define LPATCH_BUILD_ID_H

struct lp_image;

int lpatch_build_id_check(const struct lp_image *image);

#endif
