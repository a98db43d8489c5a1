# exit 0: right, 77: cannot be tried here, else wrong. LPCTL, CASE (this directory), HERE (lpload.c, try); works in the current directory.
set -u
gcc -O2 -fPIC -c "$HERE/lpload.c" -o lpload.o || exit 9
try() { # NAME CC CFLAGS LDFLAGS
	for s in old new; do
		mkdir -p $1/$s; D=; [ $s = new ] && D=-DNEW
		$2 $3 -g -fPIC $D -c "$CASE/lib.c" -o $1/$s/l.o && $2 $3 -g -fPIC $D -ffunction-sections -fdata-sections -c "$CASE/lib.c" -o $1/$s/s.o || exit 9
		$2 -shared -Wl,-soname,libhook.so $4 $1/$s/l.o -o $1/$s/libhook.so || exit 9
		gcc -O2 -fPIE "$CASE/main.c" lpload.o $1/$s/libhook.so -Wl,-rpath,"$PWD/$1/$s" -rdynamic -o $1/$s/prog || exit 9
	done
	"$LPCTL" build objects --target $1/old/libhook.so --old $1/old/s.o --new $1/new/s.o -o $1/fix.lp || { echo "$1: not built"; exit 1; }
	LPCTL=$LPCTL "$TRY" --plan $1/fix.lp $1/plan || exit 9
	want=$($1/new/prog); got=$(IMAGE=libhook.so LP=$1/fix.lp PLAN=$1/plan $1/old/prog)
	[ "$want" = "$got" ] || { echo "$1 wanted: $want"; echo "$1 got: $got"; exit 1; }
}
try plain gcc -O2 ""
try o0 gcc -O0 ""
try lazy gcc "-O2" "-Wl,-z,lazy"
try now gcc "-O2 -fno-plt" "-Wl,-z,now"
try address gcc "-O2 -DADDRESS" "-Wl,-z,lazy"
try functions gcc -O2 "-Wl,-Bsymbolic-functions"
try own gcc "-O2 -DOWN -fno-semantic-interposition" ""
if which clang-19 >/dev/null; then
	try clang clang-19 "-O2 -fno-inline" ""
	try clang0 clang-19 "-O0" "-Wl,-z,now"
fi
exit 0
