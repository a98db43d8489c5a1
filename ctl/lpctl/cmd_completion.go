// SPDX-License-Identifier: GPL-2.0

package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
)

// The scripts are made from the verbs and options once and never call lpctl: completing a line that would patch a
// process must not come near running it.

func completionCommand() *cli.Command {
	return &cli.Command{
		Name:      "completion",
		Usage:     "print a script that completes command lines in a shell",
		ArgsUsage: "bash|zsh|fish",
		Action:    completion,
	}
}

func completion(c *cli.Context) error {
	shell, err := argument(c, "the shell: bash, zsh or fish,")
	if err != nil {
		return err
	}
	var script string
	switch shell {
	case "bash":
		script = bashCompletion(c.App)
	case "zsh":
		script = "#compdef lpctl\nautoload -U +X bashcompinit && bashcompinit\n" + bashCompletion(c.App)
	case "fish":
		if script, err = c.App.ToFishCompletion(); err != nil {
			return err
		}
	default:
		return fmt.Errorf("there is no completion for %q; there is for bash, zsh and fish", shell)
	}
	_, err = fmt.Fprint(c.App.Writer, script)
	return err
}

const bashTemplate = `_lpctl() {
	local cur=${COMP_WORDS[COMP_CWORD]} verb= words= w
	for w in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
		case $w in
		%s) verb=$w; break ;;
		esac
	done
	case $verb in
	'') words='%s' ;;
%s	esac
	COMPREPLY=()
	if [[ $cur == -* || -z $verb ]]; then
		COMPREPLY=($(compgen -W "$words" -- "$cur"))
	fi
}
complete -o default -F _lpctl lpctl
`

func bashCompletion(app *cli.App) string {
	var verbs []string
	var cases strings.Builder
	for _, c := range app.Commands {
		verbs = append(verbs, c.Name)
		fmt.Fprintf(&cases, "\t%s) words='%s' ;;\n", c.Name, strings.Join(optionNames(c.Flags), " "))
	}
	first := slices.Concat(verbs, optionNames(app.Flags))
	return fmt.Sprintf(bashTemplate, strings.Join(verbs, "|"), strings.Join(first, " "), cases.String())
}

// optionNames returns options as they are typed. The library adds --help to some flags, at times of its own.
func optionNames(flags []cli.Flag) []string {
	list := []string{"--help"}
	for _, f := range flags {
		if f == cli.HelpFlag {
			continue
		}
		for _, name := range f.Names() {
			dashes := "--"
			if len(name) == 1 {
				dashes = "-"
			}
			list = append(list, dashes+name)
		}
	}
	return list
}
