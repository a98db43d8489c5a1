# SPDX-License-Identifier: GPL-2.0
# Completes command lines of lpctl, which says what may come next: WORD:DESCRIPTION on each line, and :files for files. What stands
# on the line is handed over and not evaluated: nothing of it may run. Behind -- is a command of others.
function __lpctl_complete
    set -l ask (commandline -opc)
    set -l current (commandline -ct)
    if contains -- -- $ask
        __fish_complete_path $current
        return
    end
    if string match -q -- '-*' $current
        set -a ask $current
    end
    for line in ($ask[1] $ask[2..-1] --generate-shell-completion 2>/dev/null)
        if test "$line" = ":files"
            __fish_complete_path $current
            continue
        end
        string replace -r '(?<!\\\\):' \t -- $line | string replace -a '\\:' ':'
    end
end
complete -c lpctl -e
complete -c lpctl -f -a '(__lpctl_complete)'
