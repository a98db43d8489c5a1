# exit 0: right, 77: cannot be tried here, else wrong. LPCTL, CASE (this directory), HERE (lpload.c, try); works in the current directory.
set -u
gcc -O2 -fPIC -c "$HERE/lpload.c" -o lpload.o || exit 9
try() { # NAME CFLAGS LDFLAGS MAY-REFUSE
	for s in old new; do
		mkdir -p $1/$s/o; D=; [ $s = new ] && D=-DNEW
		for f in lib work; do
			gcc -O2 -g -fPIC $2 $D -c "$CASE/$f.c" -o $1/$s/$f.o && gcc -O2 -g -fPIC $2 $D -ffunction-sections -fdata-sections -c "$CASE/$f.c" -o $1/$s/o/$f.o || exit 9
		done
		gcc -shared -Wl,-soname,libhook.so -Wl,--version-script,"$CASE/lib.map" $3 $1/$s/*.o -o $1/$s/libhook.so || exit 9
		gcc -O2 -fPIE "$CASE/main.c" lpload.o $1/$s/libhook.so -Wl,-rpath,"$PWD/$1/$s" -rdynamic -o $1/$s/prog || exit 9
	done
	"$LPCTL" build objects --target $1/old/libhook.so --old $1/old/o --new $1/new/o -o $1/fix.lp; r=$?
	[ $r = 2 ] && [ -n "$4" ] && return
	[ $r = 0 ] || exit 1
	LPCTL=$LPCTL "$TRY" --plan $1/fix.lp $1/plan || exit 9
	want=$($1/new/prog); got=$(IMAGE=libhook.so LP=$1/fix.lp PLAN=$1/plan $1/old/prog)
	[ "$want" = "$got" ] || { echo "$1 wanted: $want"; echo "$1 got: $got"; exit 1; }
}
try called -DOTHER "" ""
try symbolic -DOTHER -Wl,-Bsymbolic ""
try unused "" "" yes
try unused-symbolic "" -Wl,-Bsymbolic yes
