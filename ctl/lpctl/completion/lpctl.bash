# SPDX-License-Identifier: GPL-2.0
# Completes command lines of lpctl, which says what may come next: WORD:DESCRIPTION on each line, and :files for files. What stands
# on the line is handed over and not evaluated: nothing of it may run. Behind -- is a command of others.
_lpctl() {
	local cur=${COMP_WORDS[COMP_CWORD]} line word
	local -a ask=("${COMP_WORDS[@]:1:COMP_CWORD-1}") offers=()
	[[ $cur == -* ]] && ask+=("$cur")
	COMPREPLY=()
	case " ${COMP_WORDS[*]:1:COMP_CWORD-1} " in
	*' -- '*) offers=(:files) ;;
	*) mapfile -t offers < <("${COMP_WORDS[0]}" "${ask[@]}" --generate-shell-completion 2>/dev/null) ;;
	esac
	for line in "${offers[@]}"; do
		if [[ $line == :files ]]; then
			compopt -o filenames 2>/dev/null
			mapfile -t -O ${#COMPREPLY[@]} COMPREPLY < <(compgen -f -- "$cur")
			continue
		fi
		word=${line//\\:/$'\001'}
		word=${word%%:*}
		word=${word//$'\001'/:}
		[[ -n $word && $word == "$cur"* ]] && COMPREPLY+=("$word")
	done
}
complete -F _lpctl lpctl
