FIX=$CASE/fix.patch REFUSED=closure-renumbered TARGETS=app exec bash "$CASE/../rust-fixes/run.sh"
