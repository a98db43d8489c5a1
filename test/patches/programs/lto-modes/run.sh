. "$CASE/../lto-modes/common.sh"
try gcc-parts prog LINK='-flto-partition=1to1'
exit $bad
