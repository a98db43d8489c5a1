#compdef lpctl
# SPDX-License-Identifier: GPL-2.0
# Completes command lines of lpctl, which says what may come next: WORD:DESCRIPTION on each line, and :files for files. What stands
# on the line is handed over and not evaluated: nothing of it may run. Behind -- is a command of others.
_lpctl() {
	local -a ask offers words_before
	local line
	integer files=0
	words_before=("${(@)words[2,CURRENT-1]}")
	if (( $words_before[(Ie)--] )); then
		_files
		return
	fi
	ask=("${(@)words_before}")
	[[ $words[CURRENT] == -* ]] && ask+=("$words[CURRENT]")
	for line in "${(@f)$($words[1] "${(@)ask}" --generate-shell-completion 2>/dev/null)}"; do
		case $line in
		:files) files=1 ;;
		?*) offers+=("$line") ;;
		esac
	done
	(( $#offers )) && _describe lpctl offers
	(( files )) && _files
}
compdef _lpctl lpctl
if [ "$funcstack[1]" = "_lpctl" ]; then
	_lpctl "$@"
fi
