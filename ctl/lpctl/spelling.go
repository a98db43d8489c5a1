// SPDX-License-Identifier: GPL-2.0

package main

import (
	"slices"
	"strings"

	"github.com/urfave/cli/v3"
)

// buildSpellings are the commands that build was before it had any: by which options it was told, which of these has become the
// argument, and what is said of that. The first goes before the others.
var buildSpellings = []struct {
	command  string
	options  []string
	argument string
	note     string
}{
	{"deb", []string{"deb"}, "deb", `"lpctl build --deb SOURCE" is spelled "lpctl build deb SOURCE" now`},
	{"source", []string{"source", "patch"}, "source", `"lpctl build --source DIR" is spelled "lpctl build source DIR" now`},
	{"objects", []string{"old", "new"}, "", `"lpctl build --old PATH --new PATH" is spelled "lpctl build objects --old PATH --new PATH" now, with the option for each PATH`},
	{"values", []string{"set"}, "", `"lpctl build --set VAR=FILE" is spelled "lpctl build values --set VAR=FILE" now`},
}

// modern returns a command line as it is spelled today, and a note if that is not how it was.
func modern(app *cli.Command, args []string) (line []string, note string) {
	if len(args) < 2 || args[len(args)-1] == "--generate-shell-completion" { // what is on the line may be half of an option
		return args, ""
	}
	line = optionsBehind(app, args)
	if !slices.Equal(line, args) {
		note = "options stand behind the command now: lpctl COMMAND [ARGUMENTS] [OPTIONS]"
	}
	if len(line) < 3 || line[1] != "build" || !strings.HasPrefix(line[2], "-") {
		return line, note
	}
	words, command := untilDashes(line[2:])
	for _, s := range buildSpellings {
		if slices.ContainsFunc(words, func(word string) bool { return slices.Contains(s.options, optionName(word)) }) {
			return slices.Concat(line[:2], []string{s.command}, separate(words, s.argument), command), s.note
		}
	}
	return line, note
}

// optionsBehind moves options that stand in front of a command behind it.
func optionsBehind(cmd *cli.Command, args []string) []string {
	var path, options []string
	for i, arg := range args[1:] {
		sub := cmd.Command(arg)
		switch {
		case arg == "--", sub == nil && !strings.HasPrefix(arg, "-") && len(options) == 0:
			return args // the library says what is wrong
		case sub == nil:
			options = append(options, arg)
			continue
		}
		path, cmd = append(path, arg), sub
		if len(cmd.Commands) == 0 || arg == "build" {
			return slices.Concat(args[:1], path, options, args[i+2:])
		}
	}
	return args
}

// untilDashes cuts a command line in front of the argument "--".
func untilDashes(args []string) (before, after []string) {
	i := slices.Index(args, "--")
	if i < 0 {
		return args, nil
	}
	return args[:i], args[i:]
}

// optionName is the name of an option, or "" of what is none.
func optionName(word string) string {
	if !strings.HasPrefix(word, "-") {
		return ""
	}
	name, _, _ := strings.Cut(strings.TrimLeft(word, "-"), "=")
	return name
}

// separate makes the value of one option an argument, and gives each of several values of --old and --new an option of its own.
func separate(words []string, argument string) []string {
	var arguments, options []string
	last, filled := "", false // the option before, and whether it has a value
	for _, word := range words {
		if name := optionName(word); name != "" {
			_, value, inline := strings.Cut(word, "=")
			last, filled = name, inline
			if name != argument {
				options = append(options, word)
			} else if inline {
				arguments = append(arguments, value)
			}
			continue
		}
		switch {
		case last == argument && !filled && argument != "":
			arguments = append(arguments, word)
		case filled && (last == "old" || last == "new"):
			options = append(options, "--"+last, word)
		default:
			options = append(options, word)
		}
		filled = true
	}
	return append(arguments, options...)
}
