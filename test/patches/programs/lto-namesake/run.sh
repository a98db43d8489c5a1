set -u
for k in t n s; do cp -r "$CASE/tree" $k; done
make -s -C t && (cd n && patch -s -p1 <"$CASE/fix.patch" && make -s) || exit 9
"$LPCTL" build source s --target t/prog --patch "$CASE/fix.patch" -o fix.lp -- make -s || exit 1
"$LPCTL" boot bake fix.lp --image t/prog -o patched || exit 1
want=$(n/prog) got=$(./patched)
[ "$want" = "$got" ] || { echo "wanted: $want"; echo "got: $got"; exit 1; }
