. "$CASE/../lto-modes/common.sh"
try gcc-fat-lib libx.so LTO='-flto=auto -ffat-lto-objects'
exit $bad
