# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0
# Shared by the scripts here: source it, do not run it.

TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
BUILD=$TOP/build
# Downloads may live elsewhere than build/, so that a clean build or another clone need not fetch them again.
CACHE=${LPATCH_CACHE:-$BUILD}
# Whoever became root by plain su has not these in the PATH.
PATH=$PATH:/usr/sbin:/sbin
# Go: the one that scripts/deps had to fetch (hidden, so that ./... does not match it); else the PATH's; else where it is unpacked by hand.
if [ -x "$CACHE/.go/bin/go" ]; then
	PATH=$CACHE/.go/bin:$PATH
elif ! command -v go >/dev/null; then
	PATH=$PATH:/usr/local/go/bin
fi
export TOP BUILD CACHE PATH

die() {
	echo "${0##*/}: $*" >&2
	exit 1
}

# kernel_names [all] prints the names of the kernels in the matrix, in its order: those that are taken where none is named,
# or all.
kernel_names() {
	awk -F'"' -v all="${1-}" '
		/^ *- name:/ { name = $2; apart = 0 }
		/^ *suite:/ { apart = 1 }
		/^ *why:/ && (all || !apart) { print name }
	' "$TOP/test/kernels.yaml"
}

# chosen_kernels [NAME]… prints the names, or those taken where none is named, or with "all" all.
chosen_kernels() {
	if [ $# = 0 ] || [ "$*" = all ]; then
		kernel_names "$@"
	else
		echo "$@"
	fi
}

# kernel_field NAME FIELD prints one field of a kernel in the matrix.
kernel_field() {
	awk -v want="$1" -v field="$2:" '
		/^ *- name:/ { split($0, q, "\""); here = q[2] == want; next }
		here && $1 == field { sub(/^ *[a-z]+: */, ""); print }
	' "$TOP/test/kernels.yaml"
}

# as_root COMMAND… runs it as root, directly or through sudo.
as_root() {
	if [ "$(id -u)" = 0 ]; then
		"$@"
	elif command -v sudo >/dev/null; then
		sudo -- "$@"
	else
		die "needs root for: $* (no sudo here)"
	fi
}

# own_kernel sets release and kdir: the kernel that runs, and where its headers are; or those that KREL and KDIR name.
own_kernel() {
	release=${KREL:-$(uname -r)}
	kdir=${KDIR:-/lib/modules/$release/build}
}

# no_headers prints what to do where lpatch.ko cannot be built for the kernel that own_kernel has set.
no_headers() {
	cat <<-END
		there are no headers of kernel $release in $kdir, and apt offers no
		linux-headers-$release that can be installed here. Install them from where that kernel came from; or boot a
		kernel of which apt offers both (apt-get install linux-image-amd64 linux-headers-amd64); or name another by KREL and KDIR.
		A container has the kernel of its host: build there. Virtual machines (make demo, make test, scripts/vm-run) bring their
		own kernels and need none of this.
	END
}

# locked FILE COMMAND… runs it while holding a lock, so that parallel VM starts do not build the same thing twice.
locked() {
	local lock=$1
	shift
	mkdir -p "$(dirname "$lock")"
	# The descriptor is closed for the command: a daemon that it leaves behind must not keep the lock.
	(
		flock 9
		"$@" 9>&-
	) 9>"$lock"
}

# apt_sources [-kind deb-src] SUITE… prints lines of sources.list for suites of Debian's archive, from where this machine's apt
# gets it, or from LPATCH_MIRROR.
apt_sources() {
	locked "$BUILD/.lock" "$TOP/scripts/go-build" "$BUILD/aptsources" ./scripts/aptsources
	"$BUILD/aptsources" -keep "$CACHE/apt/sources" "$@"
}

# debian_root SUITES OPTION… FILE makes the root of a Debian system, by mmdebstrap with these options, of the first of SUITES
# and with those as its sources. It needs the proxies and so on that this machine's apt has.
debian_root() {
	local suites file=${*: -1} sources
	read -ra suites <<<"$1"
	command -v mmdebstrap >/dev/null || die "needs mmdebstrap (scripts/deps test)"
	sources=$(apt_sources "${suites[@]}")
	mkdir -p "$CACHE/apt"
	"$BUILD/aptsources" -settings >"$CACHE/apt/settings"
	mmdebstrap --quiet --aptopt="$CACHE/apt/settings" "${@:2:$#-2}" "${suites[0]}" "$file" - <<<"$sources"
}

# Options for apt-get and apt-cache, see use_suite.
APT=()

# use_suite SUITE has apt-get and apt-cache with "${APT[@]}" offer what SUITE of Debian's archive has, or with none what the
# machine's own sources have. Nothing of the machine's apt is touched and nobody has to be root. No package counts as
# installed: one that only the machine has, and the archive no more, is not offered.
use_suite() {
	local dir=$CACHE/apt/${1:-machine}
	mkdir -p "$dir/sources" "$dir/lists/partial" "$dir/cache/archives/partial"
	# As user root: apt's own cannot write here. With a cache on the disk, whatever the machine has set: it is asked often.
	APT=(-o APT::Sandbox::User=root -o Dir::State::Status=/dev/null -o Dir::Cache="$dir/cache"
		-o Dir::Cache::pkgcache=pkgcache.bin -o Dir::Cache::srcpkgcache=srcpkgcache.bin)
	if [ -n "$1" ]; then
		apt_sources "$1" >"$dir/sources.list"
		APT+=(-o Dir::Etc::SourceList="$dir/sources.list" -o Dir::Etc::SourceParts="$dir/sources")
		fresh_lists "$1"
	elif [ -z "$(apt-get "${APT[@]}" indextargets 'Created-By: Packages')" ]; then
		fresh_lists '' # a fresh container has none
	fi
}

# fresh_lists SUITE gets the package lists anew after use_suite SUITE, apart from the machine's.
fresh_lists() {
	local dir=$CACHE/apt/${1:-machine}
	APT+=(-o Dir::State::Lists="$dir/lists")
	locked "$CACHE/apt/.lock" apt-get -qq "${APT[@]}" update
}

# are_offered PACKAGE… says whether all can be fetched, after use_suite; a package may be NAME=VERSION.
are_offered() { apt-get -qq "${APT[@]}" --print-uris download "$@" >/dev/null 2>&1; }

# download DIR PACKAGE… puts the files of packages that the machine's sources offer into DIR. The machine's lists may name
# what the archive has no more: then others are got.
download() {
	local dir=$1
	shift
	mkdir -p "$dir"
	use_suite ''
	(cd "$dir" && apt-get -qq "${APT[@]}" download "$@" 2>/dev/null) ||
		(fresh_lists '' && cd "$dir" && apt-get -qq "${APT[@]}" download "$@")
}
