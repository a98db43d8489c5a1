# exit 0: right, 77: cannot be tried here, else wrong. LPCTL, CASE (this directory), HERE (lpload.c, try); works in the current directory.
set -u
gcc -O2 -fPIC -c "$HERE/lpload.c" -o lpload.o || exit 9
try() { # NAME CFLAGS-OF-MAIN
	for s in old new; do
		mkdir -p $1/$s; D=; [ $s = new ] && D=-DNEW
		gcc -O2 -g -fPIC $D -c "$CASE/lib.c" -o $1/$s/l.o && gcc -O2 -g -fPIC $D -ffunction-sections -fdata-sections -c "$CASE/lib.c" -o $1/$s/s.o || exit 9
		gcc -shared -Wl,-soname,libhook.so $1/$s/l.o -o $1/$s/libhook.so
		gcc -O2 $2 "$CASE/main.c" lpload.o $1/$s/libhook.so -Wl,-rpath,"$PWD/$1/$s" -rdynamic -o $1/$s/prog || exit 9
	done
	"$LPCTL" build objects --target $1/old/libhook.so --lib $1/old/prog --old $1/old/s.o --new $1/new/s.o -o $1/fix.lp || exit 1
	LPCTL=$LPCTL "$TRY" --plan $1/fix.lp $1/plan || exit 9
	want=$($1/new/prog); got=$(IMAGE=libhook.so LP=$1/fix.lp PLAN=$1/plan $1/old/prog)
	[ "$want" = "$got" ] || { echo "$1 wanted: $want"; echo "$1 got: $got"; exit 1; }
}
try without -Dhook=unused
