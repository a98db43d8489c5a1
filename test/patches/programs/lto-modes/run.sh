# Programs and libraries that are linked with link-time optimisation, in every way: the fix concerns a function that is inlined into
# another file, a static function that has a namesake, and a member of an archive. MODES=NAME tries one way. exit 0: right.
set -u
want='abcdef one 318 two 2043 610 35
abc one 366 two 16385 611 1000077'
try() { # NAME TARGET MAKE-ARGUMENTS...
	name=$1 target=$2; shift 2
	case " ${MODES:-$name} " in *" $name "*) ;; *) return ;; esac
	rm -rf t s; cp -r "$CASE/tree" t; cp "$HERE/lpload.c" t; cp -r t s
	make -s -j2 -C t "$@" >/dev/null || { echo "$name: does not build"; exit 9; }
	for strip in '' strip; do
		cp t/$target $target; [ -z "$strip" ] || strip $target
		"$LPCTL" build --target $target --source s --patch "$CASE/fix.patch" -o fix.lp -- make -s -j2 prog libx.so "$@" 2>log >/dev/null ||
			{ echo "$name $target $strip: refused"; grep -v '^  \|^building\|^copying\|^applying' log; bad=1; continue; }
		python3 -c "import importlib.machinery as m, sys; m.SourceFileLoader('t', '$TRY').load_module().plan('$LPCTL', 'fix.lp', 'plan')"
		program=prog image=
		if [ $target != prog ]; then cp t/user user; program=user image=$target; fi
		got=$(LP=fix.lp PLAN=plan ${image:+env IMAGE=$image} ./$program)
		[ "$want" = "$got" ] || { echo "$name $target $strip: wanted:"; echo "$want"; echo "got:"; echo "$got"; bad=1; }
	done
}
bad=0
try gcc prog
try gcc-lib libx.so
try gcc-parts prog LINK='-flto-partition=1to1'
try gcc-auto-fat prog LTO='-flto=auto -ffat-lto-objects' LINK='-flto-partition=max'
try gcc-fat-lib libx.so LTO='-flto=auto -ffat-lto-objects'
try gcc-none prog LINK='-flto-partition=none'
if command -v clang-19 >/dev/null && command -v ld.lld >/dev/null; then
	try clang-full prog CC=clang-19 AR=ar LINK=-fuse-ld=lld
	try clang-full-lib libx.so CC=clang-19 AR=ar LINK=-fuse-ld=lld
	try clang-thin prog CC=clang-19 AR=ar LTO=-flto=thin LINK=-fuse-ld=lld
	try clang-thin-lib libx.so CC=clang-19 AR=ar LTO=-flto=thin LINK=-fuse-ld=lld
fi
exit $bad
