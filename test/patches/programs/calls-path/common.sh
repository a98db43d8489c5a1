# try_build NAME COMMAND: a patch for what the command makes of the tree is to do what the new program does. The command is a
# script that works in the tree; TARGET is what it makes, if not prog. refuse_build NAME TEXT COMMAND: it is to be refused, so.
set -u
tree=$(dirname "${BASH_SOURCE[0]}")/tree
fix=$(dirname "${BASH_SOURCE[0]}")/fix.patch
bad=0
make_trees() {
	rm -rf "$1"; mkdir "$1"; cd "$1" || exit 9
	cp -r "$tree" t; cp -r "$tree" n; cp -r "$tree" s
	(cd t && sh -ec "$2") >log 2>&1 && (cd n && patch -s -p1 <"$fix" && sh -ec "$2") >log 2>&1 || { echo "$1: the command fails"; cat log; bad=1; }
	"$LPCTL" build source s --quiet --target "t/${TARGET:-prog}" --patch "$fix" -o fix.lp -- sh -ec "$2" >said 2>&1
}
try_build() {
	local was=$PWD want got
	make_trees "$1" "$2"; r=$?
	if [ $r != 0 ]; then echo "$1: exit $r"; cat said; bad=1; cd "$was"; return; fi
	mkdir p; "$LPCTL" boot bake fix.lp --image "t/${TARGET:-prog}" -o "p/$(basename "${TARGET:-prog}")" >/dev/null || bad=1
	if [ "${TARGET:-prog}" = "${PROGRAM:-${TARGET:-prog}}" ]; then want=$("n/${TARGET:-prog}"); got=$("p/$(basename "${TARGET:-prog}")")
	else want=$(LD_LIBRARY_PATH=n "n/$PROGRAM"); got=$(LD_LIBRARY_PATH=p "t/$PROGRAM"); fi
	[ -n "$want" ] && [ "$want" = "$got" ] || { echo "$1: wanted $want, got $got"; bad=1; }
	cd "$was"
}
refuse_build() {
	local was=$PWD
	make_trees "$1" "$3"; r=$?
	[ $r = 2 ] && grep -qF "$2" said || { echo "$1: exit $r, and not '$2'"; cat said; bad=1; }
	cd "$was"
}
