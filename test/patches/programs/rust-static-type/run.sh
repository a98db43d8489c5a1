FIX=$CASE/fix.patch REFUSED=variable-type-changed TARGETS=app exec bash "$CASE/../rust-fixes/run.sh"
