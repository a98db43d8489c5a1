# exit 0: right, 77: cannot be tried here, else wrong. LPCTL, CASE (this directory), HERE (lpload.c, try); works in the current directory.
set -u
try() { # NAME CC DEFINES MAY-REFUSE
	for s in old new; do
		mkdir -p $1/$s; D=; [ $s = new ] && D=$3
		for f in one two main; do
			$2 -O2 -g -fPIE $D -c "$CASE/$f.c" -o $1/$s/$f.o && $2 -O2 -g -fPIE $D -ffunction-sections -fdata-sections -c "$CASE/$f.c" -o $1/$s/s-$f.o || exit 9
		done
		ld -r $1/$s/two.o $1/$s/one.o -o $1/$s/both.o && ld -r $1/$s/s-two.o $1/$s/s-one.o -o $1/$s/s-both.o && $2 -pie $1/$s/both.o $1/$s/main.o -o $1/$s/prog || exit 9
	done
	"$LPCTL" build objects --target $1/old/prog --old $1/old/s-both.o --new $1/new/s-both.o -o $1/fix.lp; r=$?
	[ $r = 2 ] && [ -n "$4" ] && return
	[ $r = 0 ] || exit 1
	"$LPCTL" boot bake $1/fix.lp --image $1/old/prog -o $1/patched || exit 1
	want=$($1/new/prog); got=$($1/patched)
	[ "$want" = "$got" ] || { echo "$1 wanted: $want"; echo "$1 got: $got"; exit 1; }
}
try only gcc -DNEW ""
try count gcc "-DCOUNT" yes
if which clang-19 >/dev/null; then
	try clang clang-19 -DNEW ""
	try clang-count clang-19 "-DCOUNT" yes
fi
exit 0
