# exit 0: right, 77: cannot be tried here, else wrong. LPCTL, CASE (this directory), HERE (lpload.c, try); works in the current directory.
set -u
for k in t n s; do cp -r "$CASE/tree" $k; cp "$CASE/Makefile" $k/Makefile; touch -d '1 hour ago' $k/*; done
make -s -C t && (cd n && patch -s -p1 <"$CASE/fix.patch" && make -s) || exit 9
"$LPCTL" build source s --target t/prog --patch "$CASE/fix.patch" -o fix.lp -- make -s; r=$?
want=$(n/prog)
[ $r = 0 ] || { echo "exit $r, but old says $(t/prog) and new $want"; exit 1; }
"$LPCTL" boot bake fix.lp --image t/prog -o patched || exit 1
got=$(./patched)
[ "$want" = "$got" ] || { echo "wanted: $want"; echo "got: $got"; exit 1; }
