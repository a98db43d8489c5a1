#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Puts into an initramfs what patches programs from the first one on: the module, lpctl, and the patches. The entries are read
# from the root file system when it is mounted, so they are never out of date; of the patches, which are found by their
# content, there is a copy for systems whose /var is not on the root.

check() {
	require_binaries lpctl modprobe mount
}

depends() {
	return 0
}

installkernel() {
	# Not only where it is loaded at the moment.
	hostonly='' instmods lpatch
}

install() {
	local patch
	inst_multiple lpctl modprobe mount
	inst_simple /usr/lib/lpctl/lpatch-replay
	for patch in /var/lib/lpctl/store/*.lp; do
		[[ ! -f $patch ]] || inst_simple "$patch"
	done
	# shellcheck disable=SC2154 # of dracut; the module usrmount comes at 50
	inst_hook pre-pivot 80 "$moddir/lpatch-pre-pivot.sh"
}
