. "$CASE/../calls-path/common.sh"
command -v setpriv >/dev/null && [ "$(id -u)" = 0 ] || exit 77
# What others on this machine mount meanwhile is not seen in mounts of our own.
[ "${1-}" = inside ] || exec unshare --mount bash "$0" inside
# Below a directory that everybody may enter, unlike the test's own.
u=$(mktemp -d) && trap 'rm -rf "$u"' EXIT && chown 65534:65534 "$u" && cd "$u" || exit 9
cp "$LPCTL" lpctl; chmod 755 lpctl
before=$(grep -c . /proc/mounts)
printf '%s\n' "#!/bin/sh" 'exec setpriv --reuid 65534 --regid 65534 --clear-groups env HOME=/nonexistent TMPDIR='"$PWD/tmp"' '"$PWD/lpctl"' "$@"' >lpctl-user
chmod 755 lpctl-user; mkdir tmp; chown 65534:65534 tmp
LPCTL=$PWD/lpctl-user
umask 0; chmod 777 .
try_build by-path 'make CC=/usr/bin/gcc'
try_build clean-environment 'env -i PATH=/usr/bin:/bin make CC=tools/cc-of-ours'
[ "$(grep -c . /proc/mounts)" = "$before" ] || { echo "something stays mounted"; bad=1; }
[ -z "$(ls tmp)" ] || { echo "left: $(ls tmp)"; bad=1; }
exit $bad
