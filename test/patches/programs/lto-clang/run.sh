command -v clang-19 >/dev/null && command -v ld.lld >/dev/null || { echo "no clang-19 with lld"; exit 77; }
. "$CASE/../lto-modes/common.sh"
try clang-full-lib libx.so CC=clang-19 AR=ar LINK=-fuse-ld=lld
exit $bad
