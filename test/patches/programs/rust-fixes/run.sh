# FIX is the patch, REFUSED the code with which it must be refused, TARGETS which of app and app.stripped are patched. exit 0: right, 77: no cargo, else wrong.
set -u
command -v cargo >/dev/null && command -v rustc >/dev/null || { echo "no cargo"; exit 77; }
DIR=$(dirname "$(realpath "$0")")
FIX=${FIX:-$DIR/fix.patch}
gcc -O2 -fPIC -c "$HERE/lpload.c" -o "$PWD/lpload.o" || exit 9
export RUSTFLAGS="${RUSTFLAGS:-} -Clink-arg=$PWD/lpload.o"
# With more, rustc divides the crate in another way with a fix of this size, and its statics go elsewhere.
export CARGO_PROFILE_RELEASE_CODEGEN_UNITS=1
for k in t n s; do cp -r "$DIR/tree" $k; done
for k in t n; do
	[ $k = t ] || (cd n && patch -s -p1 <"$FIX") || exit 9
	(cd $k && cargo build --release --offline) >$k.log 2>&1 || { cat $k.log; exit 9; }
done
cp t/target/release/app app
strip -o app.stripped app
for target in ${TARGETS:-app}; do
	mkdir -p d-$target && cp $target d-$target/app
	symbols=
	[ $target = app.stripped ] && symbols="--symbols app" # small functions are not found by their code
	said=$("$LPCTL" build source s $symbols --target d-$target/app --patch "$FIX" -o fix.lp -- cargo build --release --offline 2>&1)
	r=$?
	if [ -n "${REFUSED:-}" ]; then
		[ $r = 2 ] && case $said in *"[$REFUSED]"*) continue ;; esac
		echo "exit $r, not refused with $REFUSED: $said"
		exit 1
	fi
	[ $r = 0 ] || { echo "$target: exit $r: $said"; exit 1; }
	"$TRY" --plan fix.lp plan || exit 9
	LP=fix.lp PLAN=plan timeout 60 d-$target/app >got || { echo "$target: status $?"; exit 1; }
	n/target/release/app >want || exit 9
	tail -n +2 got >got.tail
	tail -n +2 want >want.tail
	cmp -s got.tail want.tail || { echo "$target wanted:"; cat want; echo got:; cat got; exit 1; }
	! cmp -s got want || { echo "$target: the old program says the same"; exit 1; }
done
