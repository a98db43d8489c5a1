export CARGO_PROFILE_RELEASE_CODEGEN_UNITS=1
FIX=$CASE/fix.patch REFUSED=closure-renumbered TARGETS=app exec bash "$CASE/../rust-fixes/run.sh"
