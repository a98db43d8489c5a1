TARGETS=app.stripped exec bash "$CASE/../rust-fixes/run.sh"
