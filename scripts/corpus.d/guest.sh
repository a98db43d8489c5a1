#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# What scripts/corpus-run does in the virtual machine: guest.sh FIX NAME.lp…
#
# /corpus/root.tar has the root of the stock packages, /corpus/case says how to use them. Each line of the result begins with
# "corpus:"; scripts/corpusreport reads them.
set -u

FIX=$1
shift
ROOT=/debian
mkdir "$ROOT"
tar -xf /corpus/root.tar -C "$ROOT" || exit
rm /corpus/root.tar
mount --bind /proc "$ROOT/proc"
mount --bind /dev "$ROOT/dev"
mount -t tmpfs none "$ROOT/tmp"
mount -t tmpfs none "$ROOT/run"
cp /corpus/case /corpus/images "$ROOT/tmp"
ip link set lo up 2>/dev/null || ifconfig lo up

# in_case FUNCTION [ARGUMENT]… runs a function of the case, in the root of the stock packages.
in_case() {
	chroot "$ROOT" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/tmp LC_ALL=C.UTF-8 \
		/bin/sh -c 'cd /tmp && . /tmp/case && "$@"' sh "$@"
}

# ask LOG makes a round of the client. One at a time: it may not be able to do two at once.
ask() {
	until mkdir /tmp/asking 2>/dev/null; do
		sleep 0.1
	done
	asked=0
	in_case check >"$1" 2>&1 || asked=$?
	rmdir /tmp/asking
	return "$asked"
}

fail() {
	echo "corpus: failed $*"
	cat /tmp/start.log /tmp/check.log 2>/dev/null | tail -n 20
	exit 1
}

# check PHASE looks whether the service does what its client wants.
check() {
	ask /tmp/check.log || fail "the client's checks, $1"
	echo "corpus: check $1"
	echo "corpus: seen $1 $(in_case seen "$FIX" 2>/dev/null || true)"
}

# client uses the service until /tmp/client.on is gone, and counts.
client() {
	ok=0 bad=0
	while [ -e /tmp/client.on ]; do
		if ask /tmp/client.log; then
			ok=$((ok + 1))
		else
			bad=$((bad + 1))
			cp /tmp/client.log /tmp/client.bad
		fi
	done
	echo "corpus: client $ok $bad"
}

# operate VERB NAME.lp… runs lpctl on every process that uses the images. An emulated processor may be kept waiting for
# longer than the usual limit; how long it took is in the result.
operate() {
	verb=$1
	shift
	for lp; do
		status=0
		lpctl "$verb" "$lp" --all --json --max-stop 2s --timeout 60s >/tmp/out 2>/tmp/err || status=$?
		echo "corpus: $verb ${lp##*/} $status $(tr '\n' ' ' </tmp/out)"
		# 5: no process uses this one of the package's files.
		[ -s /tmp/out ] || [ "$status" = 5 ] || sed "s|^|corpus: said ${lp##*/} |" /tmp/err
	done
}

in_case start </dev/null >/tmp/start.log 2>&1 || fail "to start"
tries=0
until ask /tmp/check.log; do
	tries=$((tries + 1))
	[ "$tries" -lt 100 ] || fail "to get an answer after the start"
	sleep 0.3
done
check before
touch /tmp/client.on
client &
client=$!
operate apply "$@"
check applied
operate revert "$@"
check reverted
rm /tmp/client.on
wait "$client"
[ ! -e /tmp/client.bad ] || cat /tmp/client.bad
echo "corpus: kernel $(uname -r)"
echo "corpus: done"
