# exit 0: right, 77: cannot be tried here, else wrong. LPCTL, CASE (this directory), HERE (lpload.c, try); works in the current directory.
set -u
for cc in gcc clang-14; do for opt in -O0 -O2; do
	for s in old new; do
		mkdir -p $s
		$cc $opt -g -fPIE -c "$CASE/$s.c" -o $s/p.o && $cc -pie -o $s/prog $s/p.o && $cc $opt -g -fPIE -ffunction-sections -fdata-sections -c "$CASE/$s.c" -o $s/m.o || exit 9
	done
	"$LPCTL" build objects --target old/prog --old old/m.o --new new/m.o -o fix.lp; r=$?
	[ $r = 0 ] || { echo "$cc $opt: exit $r, but old says: $(old/prog) and new: $(new/prog)"; exit 1; }
	"$LPCTL" boot bake fix.lp --image old/prog -o patched || exit 1
	want=$(new/prog); got=$(./patched)
	[ "$want" = "$got" ] || { echo "$cc $opt: wanted: $want"; echo "got: $got"; exit 1; }
done; done
