# exit 0: right, 77: cannot be tried here, else wrong. LPCTL, CASE (this directory), HERE (lpload.c, try); works in the current directory.
set -u
# source A B FILL: two blocks for A and B, the one that is switched off the other way round.
source() {
	cat > a.c <<END
#include <stdio.h>
void lp_apply(void);
__attribute__((noinline)) long count(int kind, long by)
{
$4
	if (kind == $1) { static long n; n += by; return n; }
	if (kind == $2) { static long n; n += by; return n; }
$5
	if (kind == $2) { static long n; n += by; return n; }
	if (kind == $1) { static long n; n += by; return n; }
	if (kind == 3) return $3;
$6
	return 0;
}
int main(void) { count(1, 10); count(2, 1000); lp_apply(); printf("%ld %ld %ld\n", count(1, 1), count(2, 1), count(3, 0)); return 0; }
END
}
gcc -O2 -fPIC -c "$HERE/lpload.c" -o lpload.o || exit 9
build() {
	mkdir -p $1
	gcc -O2 -g -fPIE -ffunction-sections -fdata-sections -c a.c -o $1/a.o && gcc -O2 -g -fPIE -pie a.c lpload.o -o $1/prog || exit 9
}
try() {
	"$LPCTL" build objects --target old/prog --old old/a.o --new new/a.o -o fix.lp; r=$?
	[ $r = 2 ] && return
	[ $r = 0 ] || exit 1
	LPCTL=$LPCTL "$TRY" --plan fix.lp plan || exit 9
	got=$(LP=fix.lp PLAN=plan old/prog)
	[ "$got" = "$1" ] || { echo "$2: wanted: $1"; echo "got: $got"; exit 1; }
}
# The lines stay and the blocks change places.
source 1 2 0 "" "#if 0" "#endif"; build old
source 2 1 -1 "" "#if 0" "#endif"; build new
try "11 1001 0" "in place"
# The old blocks are switched off, and stand a line lower.
source 1 2 0 "" "#if 0" "#endif"; build old
source 1 2 -1 "
#if 0" "#else" "#endif"; build new
try "11 1001 -1" "switched off"
# The blocks are in a branch that both have.
source 1 2 0 "#ifdef __linux__" "#else" "#endif"; build old
source 2 1 0 "#ifdef __linux__" "#else" "#endif"; sed -i '8i\	if (kind == 3) return -1;' a.c; build new
try "11 1001 -1" "one branch"
exit 0
