# Each program is built as it was, with the first fix, with the second one too; the first patch is built as ever, the second one
# upon it. With both, the old program must print what the newest prints. exit 0: right.
set -u
fail() { echo "$what: $*"; exit 1; }
gcc -O1 -fPIC -c "$CASE/../on/load.c" -o load.o || exit 9
# program, how it ends (built, or the code of a refusal), compiler, flags, flags of the link, options of lpctl
while read -r src end cc flags; do
	case $src in "#"*|"") continue;; esac
	command -v ${cc%%,*} >/dev/null || { echo "no $cc"; continue; }
	link=-pie options= data=
	case $flags in *-no-pie*) link=-no-pie;; esac
	case $flags in *--data*) options=--data flags=${flags%--data};; esac
	what="$src $cc $flags"
	rm -rf work; mkdir work
	for v in 0 1 2; do
		d=; [ $v -lt 1 ] || d=-DFIX1; [ $v -lt 2 ] || d="$d -DFIX2"
		$cc $flags -g $d -c "$CASE/$src" -o work/$v.o && $cc $link work/$v.o load.o -o work/p$v &&
			$cc $flags -g $d -ffunction-sections -fdata-sections -c "$CASE/$src" -o work/s$v.o || fail "does not compile"
	done
	"$LPCTL" build objects --target work/p0 --old work/s0.o --new work/s1.o $options -o work/fix1.lp >/dev/null || fail "the first patch is not built"
	said=$("$LPCTL" build objects --target work/p0 --on work/fix1.lp --old work/s1.o --new work/s2.o $options -o work/fix2.lp 2>&1); status=$?
	if [ $end != built ]; then
		[ $status = 2 ] && case $said in *"[$end]"*) continue;; esac
		fail "not refused by $end: $status $said"
	fi
	[ $status = 0 ] || fail "$said"
	for n in 1 2; do LPCTL=$LPCTL "$TRY" --plan work/fix$n.lp work/fix$n.lp.plan || fail "no plan"; done
	want=$(work/p2 2>&1); got=$(LPS="work/fix1.lp work/fix2.lp" work/p0 2>&1)
	[ "$want" = "$got" ] || fail "wanted $want, got $got"
	[ "$want" != "$(work/p1)" ] || fail "the second fix makes no difference"
done < "$CASE/runs"
