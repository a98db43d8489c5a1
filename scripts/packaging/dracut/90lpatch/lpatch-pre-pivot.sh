#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Registers boot entries. dracut sources this.
# shellcheck disable=SC2154 # of dracut
/usr/lib/lpctl/lpatch-replay "$NEWROOT"
