#compdef lpctl
# SPDX-License-Identifier: GPL-2.0
# Completes command lines of lpctl, which says what may come next: WORD:DESCRIPTION on each line, and :files for files. It is
# called, and what stands on the line is not evaluated: nothing of that may run.
_lpctl() {
	local -a ask offers
	local line
	integer files=0
	ask=("${(@)words[2,CURRENT-1]}")
	[[ $words[CURRENT] == -* ]] && ask+=("$words[CURRENT]")
	for line in "${(@f)$($words[1] "${(@)ask}" --generate-shell-completion 2>/dev/null)}"; do
		case $line in
		:files) files=1 ;;
		?*) offers+=("$line") ;;
		esac
	done
	(( $#offers )) && _describe 'lpctl' offers
	(( files || ! $#offers )) && _files
}
compdef _lpctl lpctl
if [ "$funcstack[1]" = "_lpctl" ]; then
	_lpctl "$@"
fi
