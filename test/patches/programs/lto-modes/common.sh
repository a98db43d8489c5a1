# Programs and libraries that are linked with link-time optimisation: the fix concerns a function that is inlined into another file, a
# static function that has a namesake, and a member of an archive. try NAME TARGET MAKE-ARGUMENTS… tries one way, stripped and not.
set -u
want='abcdef one 318 two 2043 610 35
abc one 366 two 16385 611 1000077'
bad=0
lto=$CASE/../lto-modes
try() {
	name=$1 target=$2; shift 2
	rm -rf t s; cp -r "$lto/tree" t; cp "$HERE/lpload.c" t; cp -r t s
	make -s -j2 -C t "$@" >/dev/null || { echo "$name: does not build"; exit 9; }
	for strip in '' strip; do
		cp t/$target $target; [ -z "$strip" ] || strip $target
		"$LPCTL" build source s --target $target --patch "$lto/fix.patch" -o fix.lp -- make -s -j2 prog libx.so "$@" 2>log >/dev/null ||
			{ echo "$name $target $strip: refused"; grep -v '^  \|^building\|^copying\|^applying' log; bad=1; continue; }
		LPCTL=$LPCTL "$TRY" --plan fix.lp plan || exit 9
		program=prog image=
		if [ $target != prog ]; then cp t/user user; program=user image=$target; fi
		got=$(LP=fix.lp PLAN=plan ${image:+env IMAGE=$image} ./$program)
		[ "$want" = "$got" ] || { echo "$name $target $strip: wanted:"; echo "$want"; echo "got:"; echo "$got"; bad=1; }
	done
}
