FIX=$CASE/fix.patch REFUSED=struct-layout-changed TARGETS=app exec bash "$CASE/../rust-fixes/run.sh"
