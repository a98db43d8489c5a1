# exit 0: right. What is wrong with the order and the sources of patches below is refused, too.
set -u
fail() { echo "$cc: $*"; exit 1; }
gcc -O1 -fPIC -c "$CASE/../on/load.c" -o load.o || exit 9
for cc in "gcc -O2 -fPIE" "gcc -O0 -fPIE" "clang-16 -O2 -fno-pie"; do
	command -v ${cc%% *} >/dev/null || continue
	ln=-pie; case $cc in *no-pie*) ln=-no-pie;; esac
	for v in 0 1 2 3; do
		mkdir -p o$v
		for x in a b; do $cc -g -DV=$v -c "$CASE/$x.c" -o $x$v.o && $cc -g -DV=$v -ffunction-sections -fdata-sections -c "$CASE/$x.c" -o o$v/$x.o || exit 9; done
		gcc $ln a$v.o b$v.o load.o -o p$v || exit 9
	done
	on= all=
	for v in 1 2 3; do
		"$LPCTL" build objects --target p0 $on --old o$((v-1)) --new o$v -o fix$v.lp >/dev/null || fail "fix $v is not built"
		LPCTL=$LPCTL "$TRY" --plan fix$v.lp fix$v.lp.plan
		on="$on --on fix$v.lp" all="$all fix$v.lp"
		want=$(./p$v); got=$(LPS="$all" ./p0)
		[ "$want" = "$got" ] || fail "wanted $want of $v, got $got"
	done
	refused() { code=$1; shift; said=$("$LPCTL" build objects "$@" --new o3 -o x.lp 2>&1); [ $? = 2 ] || fail "built: $*"; case $said in *"[$code]"*) ;; *) fail "$said";; esac; }
	refused on-target --target p0 --on fix2.lp --old o2
	refused on-target --target p0 --on fix2.lp --on fix1.lp --old o2
	refused on-target --target p1 --on fix1.lp --old o2
	refused target-differs --target p0 --on fix1.lp --old o0
	refused target-differs --target p0 --on fix1.lp --old o2
	strip p0 -o ps
	refused needs-symbols --target ps --on fix1.lp --old o1
done
