# SPDX-License-Identifier: GPL-2.0
# Completes command lines of lpctl, which says what may come next: WORD:DESCRIPTION on each line, and :files for files. It is
# called, and what stands on the line is not evaluated: nothing of that may run.
_lpctl() {
	local cur=${COMP_WORDS[COMP_CWORD]} line word
	local -a ask=("${COMP_WORDS[@]:1:COMP_CWORD-1}")
	[[ $cur == -* ]] && ask+=("$cur")
	COMPREPLY=()
	while IFS= read -r line; do
		if [[ $line == :files ]]; then
			compopt -o filenames 2>/dev/null
			while IFS= read -r word; do
				COMPREPLY+=("$word")
			done < <(compgen -f -- "$cur")
			continue
		fi
		word=${line//\\:/$'\001'}
		word=${word%%:*}
		word=${word//$'\001'/:}
		[[ -n $word && $word == "$cur"* ]] && COMPREPLY+=("$word")
	done < <("${COMP_WORDS[0]}" "${ask[@]}" --generate-shell-completion 2>/dev/null)
}
complete -o default -F _lpctl lpctl
