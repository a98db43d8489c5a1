/* SPDX-License-Identifier: GPL-2.0 */
#ifndef PARTS_H
#define PARTS_H

/* Combines left(x) and right(x) into one number. Calls between() between the two. */
long tally(long x, void (*between)(void));
long left(long x);
long right(long x);
long lone(long x);

#endif
