command -v clang-19 >/dev/null && command -v ld.lld >/dev/null || { echo "no clang-19 with lld"; exit 77; }
. "$CASE/../lto-modes/common.sh"
try clang-thin prog CC=clang-19 AR=ar LTO=-flto=thin LINK=-fuse-ld=lld
exit $bad
