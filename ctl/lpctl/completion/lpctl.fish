# SPDX-License-Identifier: GPL-2.0
# Completes command lines of lpctl, which says what may come next: WORD:DESCRIPTION on each line, and :files for files. It is
# called, and what stands on the line is not evaluated: nothing of that may run.
function __lpctl_complete
    set -l ask (commandline -opc)
    set -l current (commandline -ct)
    if string match -q -- '-*' $current
        set -a ask $current
    end
    for line in ($ask[1] $ask[2..-1] --generate-shell-completion 2>/dev/null)
        if test "$line" = ":files"
            __fish_complete_path $current
            continue
        end
        set -l parts (string replace -r '(?<!\\\\):' \t -- $line)
        string replace -a '\\:' ':' -- $parts
    end
end
complete -c lpctl -e
complete -c lpctl -f -a '(__lpctl_complete)'
