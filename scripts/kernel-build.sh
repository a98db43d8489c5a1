# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0
# What scripts/build-debug-kernel and scripts/build-tree-kernel have in common: Debian's source of a kernel, configured and
# built without installing anything. Source it after lib.sh.

# newest_source PACKAGE prints the version that apt offers.
newest_source() {
	local version
	use_suite ''
	version=$(apt-cache "${APT[@]}" policy "$1" | awk '$1 == "Candidate:" && $2 != "(none)" { print $2 }')
	[ -n "$version" ] || die "apt offers no $1: is bookworm-security among its sources?"
	echo "$version"
}

# unpack_source PACKAGE DIR puts the kernel's source into DIR.
unpack_source() {
	download "$2" "$1"
	dpkg-deb --fsys-tarfile "$2/$1"_*.deb | tar -x -O "./usr/src/$1.tar.xz" | tar -xJ -C "$2" --strip-components=1
	rm "$2/$1"_*.deb
	# Mainline does not export it: these are the kernels where lpatch has to find it by a kprobe.
	sed -i '/^EXPORT_SYMBOL_GPL(task_work_add);/d' "$2/kernel/task_work.c"
}

# configure SOURCE OUT CONFIG… merges configurations of test/kconfig on top of allnoconfig. It fails if an option does not
# come out as it is asked for.
configure() {
	local src=$1 out=$2 log=$2/config.log
	shift 2
	mkdir -p "$out"
	(cd "$src" && scripts/kconfig/merge_config.sh -n -O "$out" "${@/#/"$TOP/test/kconfig/"}") >"$log" 2>&1 ||
		die "no configuration of $*: $(cat "$log")"
	# An option that is not to be set may also be one that there is not.
	awk '/^Value requested/ {
		getline wanted; getline got
		if (wanted !~ /is not set/ || got ~ /=/) { print $0; print wanted; print got; bad = 1 }
	} END { exit bad }' "$log" || die "the configuration of $* cannot be had as test/kconfig has it"
}

# kernel_make SOURCE OUT ARGUMENT…: a sub-make of ours must not inherit the jobserver or flags of the make that runs this.
kernel_make() {
	local src=$1 out=$2
	shift 2
	env -u MAKEFLAGS -u MAKELEVEL -u MFLAGS make -s -C "$src" O="$out" -j"$(nproc)" "$@"
}
