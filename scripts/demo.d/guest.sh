#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# What scripts/demo shows, in the virtual machine. Each step is checked: the first wrong one ends it with status 1.
set -eu

NAME=cve-2026-66373
LP=/demo/$NAME.lp
FIX=/demo/CVE-2026-66373.patch
STATS=/tmp/load.socket
CONNECTIONS=8           # of our own client, which knows what each answer has to be
BENCHMARK_CONNECTIONS=2 # of redis-benchmark
PORT=6379

finish() {
	status=$?
	[ "$status" != 0 ] || exit 0
	for log in /tmp/redis.log /tmp/load.log /tmp/benchmark.log; do
		echo "---- end of $log"
		tr '\r' '\n' <"$log" | grep . | tail -n 5 | cut -c 1-120
	done
	exit "$status"
}
trap finish EXIT

say() {
	echo
	echo "==> $*"
}

fail() {
	echo "FAILED: $*" >&2
	exit 1
}

alive() {
	kill -0 "$server" 2>/dev/null || fail "the server has gone"
	kill -0 "$load" 2>/dev/null || fail "the client has gone"
	# It ends at the first error and the first lost connection.
	kill -0 "$benchmark" 2>/dev/null || fail "redis-benchmark has gone"
}

# info FIELD prints a field of the server's own statistics.
info() {
	redis-cli -p "$PORT" INFO everything | tr -d '\r' | sed -n "s/^$1://p"
}

# row STEP STOPPED WHAT… ends a step: a line of the table, with what the load counted since the last one.
row() {
	step=$1 stopped=$2
	shift 2
	what=$*
	sleep 2
	alive
	# shellcheck disable=SC2046 # four numbers
	set -- $(load stats "$STATS")
	echo "$step|$what|$stopped|$(($1 - requests))|$(($2 - errors))|$(($3 - resets))|$(($4 / 1000)) ms" >>/tmp/table
	[ "$1" -gt "$requests" ] || fail "the load makes no progress"
	requests=$1 errors=$2 resets=$3
	[ "$4" -le "$slowest" ] || slowest=$4
	[ "$errors" = 0 ] || fail "the load had a wrong answer: $(cat /tmp/load.log)"
	[ "$resets" = 0 ] || fail "the load lost a connection: $(cat /tmp/load.log)"
}

# ask EXPECTED asks the server with the corrupt payload.
ask() {
	answer=0
	load ask -addr "127.0.0.1:$PORT" "$FIX" || answer=$?
	case $answer in
	0) answer=accepted ;;
	1) answer=refused ;;
	esac
	[ "$answer" = "$1" ] || fail "the payload should be $1, but: $answer"
}

# patch_it VERB PATCH runs lpctl on the server, and sets $stop to the time that it stopped the server.
patch_it() {
	echo "  # lpctl $1 $2 --pid $server"
	# 6: a thread may still be in the old code; it says so.
	said=$(lpctl "$1" "$2" --pid "$server" 2>&1) || [ $? = 6 ] || fail "lpctl $1: $said"
	echo "$said" | sed 's/^/  /'
	# As in: …, 9 threads, stopped 87 µs (limit 100 ms)
	stop=$(echo "$said" | sed -n 's/.*stopped \([0-9.]* [^ ]*s\) (limit.*/\1/p' | in_ms)
	[ -n "$stop" ] || fail "lpctl $1 does not say how long it stopped the server"
	awk -v ms="$stop" 'BEGIN { exit !(ms + 0 < 100) }' || fail "lpctl $1 stopped the server for over 100 ms"
}

# in_ms turns a time like 87 µs into one in milliseconds.
in_ms() {
	awk '
		BEGIN { ms["ns"] = 1e-6; ms["µs"] = 1e-3; ms["ms"] = 1; ms["s"] = 1e3 }
		$2 in ms { printf "%.2f ms", $1 * ms[$2] }
	'
}

# state EXPECTED checks what lpctl status says; gone: nothing about the patch.
state() {
	echo "  # lpctl status"
	lpctl status 2>&1 | sed 's/^/  /'
	json=$(lpctl status --pid "$server" --json) || fail "lpctl status: status $?"
	got=$(echo "$json" | sed -n "/\"$NAME\"/s/.*\"state\": *\"\([a-z]*\)\".*/\1/p")
	[ "${got:-gone}" = "$1" ] || fail "the state should be $1, but: ${got:-gone}"
}

mappings() {
	grep "$NAME" "/proc/$server/maps" || true
}

say "Debian's stock redis-server, with four threads for I/O, kernel $(uname -r)"
redis-server --port "$PORT" --bind 127.0.0.1 --save '' --io-threads 4 --loglevel verbose --logfile /tmp/redis.log &
server=$!
tries=0
until redis-cli -p "$PORT" PING >/dev/null 2>&1; do
	tries=$((tries + 1))
	[ "$tries" -lt 100 ] || fail "the server does not answer"
	sleep 0.2
done
run_id=$(info run_id)
echo "  version $(info redis_version), process $server"

say "load: $CONNECTIONS connections that check every answer, $BENCHMARK_CONNECTIONS of redis-benchmark"
load run -addr "127.0.0.1:$PORT" -clients "$CONNECTIONS" -pause 10ms "$STATS" >/tmp/load.log 2>&1 &
load=$!
redis-benchmark -p "$PORT" -c "$BENCHMARK_CONNECTIONS" -t set,get,incr,lpush,lpop,sadd,hset -d 64 -n 2000 -l -q \
	</dev/null >/tmp/benchmark.log 2>&1 &
benchmark=$!
requests=0 errors=0 resets=0 slowest=0
sleep 2
echo "  threads of the server: $(sort "/proc/$server"/task/*/comm | uniq -c | awk '{ printf "%s%d %s", sep, $1, $2; sep = ", " }')"
row start - "stock server under load"

say "the hole: it takes a stream in which one entry has two owners (to be freed twice)"
ask accepted
row before - "corrupt data is accepted"

say "the fix, while it runs"
patch_it apply "$LP"
state applied
mappings | sed 's/^/  /'
[ -n "$(mappings)" ] || fail "the patch is not mapped"
row apply "$stop" "patch applied"

ask refused
# The message is a string that the stock program does not have.
grep 'already has a consumer assigned' /tmp/redis.log | sed 's/.* - /  in its log: /' | grep . ||
	fail "the server did not log the new message"
row after - "corrupt data is refused: Bad data format"

say "back to the stock code"
patch_it restore "$NAME"
state restored
row restore "$stop" "stock code again"
ask accepted
row after - "corrupt data is accepted, as before"

say "out of the process"
patch_it unload "$NAME"
state gone
[ -z "$(mappings)" ] || fail "the patch is still mapped: $(mappings)"
echo "  $NAME in /proc/$server/maps: no line"
ask accepted
row unload "$stop" "patch gone from the process's memory"

[ "$(info run_id)" = "$run_id" ] || fail "the server was started anew"
refusals=$(info total_error_replies)
[ "$refusals" = 1 ] || fail "the server gave $refusals error replies, should be 1: the fix's own"

say "in short: server process $server ran all the time ($(info uptime_in_seconds) s, $(info total_commands_processed) commands)"
echo
{
	echo 'step|what happened|server stopped|requests|errors|resets|slowest'
	cat /tmp/table
	echo "all||limit 100 ms|$requests|$errors|$resets|$((slowest / 1000)) ms"
} | awk -F'|' '
	{ printf "%-8s %-42s %14s %9s %7s %7s %8s\n", $1, $2, $3, $4, $5, $6, $7 }
	NR == 1 { gsub(/./, "-", $0); print substr($0 "-----------------------------------------", 1, 101) }
'
echo
echo "(the processor is emulated here: the load's slowest answer says more about that than about the server)"
