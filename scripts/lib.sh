# shellcheck shell=bash
# Shared by the scripts here: source it, do not run it.

TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
BUILD=$TOP/build
# Downloads may live elsewhere than build/, so that a clean build or another clone need not fetch them again.
CACHE=${LPATCH_CACHE:-$BUILD}
# Where packages of other releases of Debian than the host's come from.
DEBIAN_MIRROR=http://deb.debian.org/debian
# Go: the one that scripts/deps had to fetch (hidden, so that ./... does not match it); else the PATH's; else where it is unpacked by hand.
if [ -x "$CACHE/.go/bin/go" ]; then
	PATH=$CACHE/.go/bin:$PATH
elif ! command -v go >/dev/null; then
	PATH=$PATH:/usr/local/go/bin
fi
export TOP BUILD CACHE DEBIAN_MIRROR PATH

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

# Options that have apt look at another release's packages and not at the host's, see use_suite.
APT=()

# use_suite SUITE has apt-get and apt-cache with "${APT[@]}" offer what SUITE has, or with none what the host's own sources
# have. Packages come and go there, so the lists are always got anew; nothing of the host's apt is touched, and nobody has to
# be root.
use_suite() {
	local dir=$CACHE/apt/$1
	APT=()
	[ -n "$1" ] || return 0
	mkdir -p "$dir/sources" "$dir/lists/partial" "$dir/cache/archives/partial"
	cat >"$dir/sources/suite.sources" <<-END
		Types: deb
		URIs: $DEBIAN_MIRROR
		Suites: $1
		Components: main
		Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
	END
	APT=(-o APT::Sandbox::User=root -o Dir::Etc::SourceList=/dev/null -o Dir::Etc::SourceParts="$dir/sources"
		-o Dir::State::Lists="$dir/lists" -o Dir::State::Status=/dev/null -o Dir::Cache="$dir/cache")
	apt-get -qq "${APT[@]}" update
}
